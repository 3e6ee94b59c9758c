"""Runs the processes that execute jobs."""
