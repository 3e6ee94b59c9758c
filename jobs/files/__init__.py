"""Reads and writes the files of jobs."""
