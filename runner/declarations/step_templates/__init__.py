"""Expands steps that use a template."""
