"""Moves rows between files and tables by COPY."""
