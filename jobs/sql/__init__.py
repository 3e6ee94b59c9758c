"""Renders and sends the statements of jobs; their templates lie here."""
