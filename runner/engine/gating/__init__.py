"""Decides whether a job or a run may start, and whether a run is over."""
