"""Traces and lineage events of ended runs, sent by the active daemon."""
