"""Copies several tables: read in one snapshot, published in one transaction."""
