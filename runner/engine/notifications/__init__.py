"""Tells people of runs: what a notification says, in which form, and that it arrives."""
