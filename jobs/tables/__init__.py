"""Makes, fills and compares tables."""
