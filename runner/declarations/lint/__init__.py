"""Warns about what is valid and may not be meant."""
