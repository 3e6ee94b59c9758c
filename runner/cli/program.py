"""Runs a command and returns its exit code, without a traceback at a user's mistake."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from headrace.cli import outlet
from headrace.errors import HeadraceError
from headrace.jobapi import former_names
from headrace.observe.redaction import redacted
from headrace.observe.terminal_text import VisibleStream

# As a shell tells of a program that a signal has ended.
_INTERRUPTED = 130
_TERMINATED = 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0 where all is fine, 1 where what was asked about failed, 2 at wrong usage or
    configuration.
    """
    former_names.answer()
    outlet.prepare()
    _write_controls_out()
    # Ending has to go through every `finally`: embedded servers are stopped there.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        return _carry_out(_read(sys.argv[1:] if arguments is None else arguments))
    except HeadraceError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except SystemExit:
        outlet.flush()
        raise
    except BrokenPipeError:
        # The reader has seen enough. What is left in the buffer must not complain at exit.
        outlet.silence()
        return 0
    except OSError as error:
        if not outlet.is_of_output(error):
            raise
        outlet.silence()
        _say(f"standard output cannot be written: {error.strerror}")
        return 1
    except Exception as error:
        if not _schema_is_missing(error):
            raise
        _say("the database has no Headrace schema; `headrace db upgrade` creates it")
        return 1


def _read(words: Sequence[str]) -> argparse.Namespace:
    # Imported here: `--version` of a broken pipe's reader needs none of it, nor do parts.
    from headrace.cli.arguments import parser

    try:
        return parser(*words[:1]).parse_args(words)
    except SystemExit:
        sys.stdout.flush()  # Help that cannot be written is an error.
        raise


def _carry_out(given: argparse.Namespace) -> int:
    module, _, function = given.command.partition(":")
    code: int = getattr(import_module(f"{__package__}.{module}"), function)(given) or 0
    sys.stdout.flush()
    return code


def _write_controls_out() -> None:
    """Let no text of a job, an error or a file steer the terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, VisibleStream):
            setattr(sys, name, VisibleStream(stream))


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        print(redacted(text), file=sys.stderr)


def _terminate(_number: int, _frame: Any) -> None:
    sys.exit(_TERMINATED)


def _schema_is_missing(error: Exception) -> bool:
    """Return whether PostgreSQL says so: undefined table or column, invalid schema name."""
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    return code in ("42P01", "42703", "3F000")
