"""Executes one attempt of one job and records its end."""
