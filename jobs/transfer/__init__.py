"""Brings the rows of one table into another, also of another database."""
