"""Runs and previews SQL."""
