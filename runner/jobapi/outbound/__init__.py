"""Speaks to other hosts, those that a configured list allows: connections, URLs, mail."""
