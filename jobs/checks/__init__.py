"""Measures data and judges it: the checks of CheckData, and of each job that writes."""
