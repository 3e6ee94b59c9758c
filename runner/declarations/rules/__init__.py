"""Checks what one pipeline file says beyond its schema."""
