"""Writes the rows of runs and jobs, then sends their messages."""
