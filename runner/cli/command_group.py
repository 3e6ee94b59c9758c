"""How a command of the command line is added. Imports nothing that takes time."""

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, cast

from headrace.errors.suggestions import did_you_mean

COMMANDS = (
    *("up", "daemon", "worker", "web", "validate", "plan", "cron", "schema", "init", "run"),
    *("backfill", "pipelines", "runs", "jobs", "schedules", "workers", "queues", "show", "last"),
    *("logs", "top", "retry", "cancel", "pause", "resume", "prune", "token", "audit", "db"),
    *("notify", "outbox"),
)

# What commands say of an argument that is one.
ID = "id of a run or job, or its unique beginning"


class Parser(argparse.ArgumentParser):
    """Parser that reports an error as one line and a hint, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help, and exit."""
        if "invalid choice" in message and self.prog == "headrace":
            word = message.split("'")[1]
            message = f'there is no command "{word}"; {did_you_mean(word, COMMANDS)}'
        self.exit(2, f"{self.prog}: {message}\n  hint: `{self.prog} --help` shows its usage\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # The library passes over what cannot be written: a full disk would look like a success.
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


class _NotAsked:
    """Takes what a command's parser takes, and is none: most of a start would be to make them."""

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        return lambda *_args, **_options: self


class Group:
    """Adds commands to the parser, each with the function that carries it out.

    With `only` it adds the command of that name and leaves out the others.
    """

    def __init__(
        self, commands: "argparse._SubParsersAction[Parser]", only: str | None = None
    ) -> None:
        self._commands = commands
        self._only = only

    def add(self, name: str, function: str, text: str, *, json: bool = False) -> Parser:
        """Add a command. `function` is `module:function` below `headrace.cli`."""
        if self._only not in (None, name):
            return cast("Parser", _NotAsked())
        first = text[0].upper() + text[1:]
        command = self._commands.add_parser(name, help=text, description=f"{first}.")
        command.set_defaults(command=function)
        add_config(command, argparse.SUPPRESS)
        if json:
            command.add_argument("--json", action="store_true", help="print JSON")
        return command


def add_config(command: argparse.ArgumentParser, default: str | None) -> None:
    """Add the option that names the configuration file."""
    command.add_argument(
        "--config",
        metavar="FILE",
        default=default,
        help="configuration file (HEADRACE_CONFIG, config.yaml)",
    )


def count(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` on."""

    def counted(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"takes a whole number from {least}, not {text!r}")
        return int(text)

    return counted


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a reader of numbers of seconds from `least` to `most`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            # False for what is not a number, too.
            if least <= (found := float(text)) <= most:
                return found
        raise argparse.ArgumentTypeError(f"takes seconds from {least:g} to {most:g}, not {text!r}")

    return read
