"""Starts programs that do not outlive their job."""
