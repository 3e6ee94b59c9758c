"""Sends the HTTP requests of jobs, to allowed hosts only."""
