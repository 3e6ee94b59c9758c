"""Decisions: order, due instants, parameters, plans, waits. Pure; `now` is an argument."""
