"""The command line: arguments and printing only. What it does is the engine's work."""

from headrace.cli.program import main

__all__ = ["main"]
