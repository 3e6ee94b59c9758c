"""Reads the environment in the form of `config.yaml`."""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.declarations.source import KeyPath
from headrace.errors import Problem
from headrace.model.duration import parse_duration_s


def _text(value: str) -> str:
    return value


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise ValueError
    return int(value)


def _seconds(value: str) -> str:
    """Return a duration: a bare number counts seconds."""
    text = f"{value}s" if value[-1:].isdigit() else value
    parse_duration_s(text)
    return text


def _intervals(value: str) -> list[str]:
    return [_seconds(part.strip()) for part in value.split(",")]


Reader = tuple[KeyPath, Callable[[str], Any], str]

# Variable → key of config.yaml, how its text is read, what it takes.
VARIABLES: dict[str, Reader] = {
    "DATABASE_URL": (("database_url",), _text, "a PostgreSQL URL"),
    "REDIS_URL": (("redis_url",), _text, "a Redis URL"),
    "JOB_DEFAULT_QUEUE": (("default_queue",), _text, "the name of a queue"),
    "JOB_TIMEOUT": (("timeout",), _seconds, "seconds, as in 300"),
    "JOB_MAX_RETRIES": (("retry", "limit"), _count, "a whole number, as in 3"),
    "JOB_RETRY_INTERVAL": (
        ("retry", "intervals"),
        _intervals,
        "seconds separated by commas, as in 60,300,900",
    ),
    "HEADRACE_HOME": (("home",), _text, "a folder"),
    "HEADRACE_PIPELINES": (("pipelines",), _text, "a folder"),
    "HEADRACE_HOST": (("host",), _text, "an address"),
    "HEADRACE_PORT": (("port",), _count, "a port number, as in 8000"),
    "HEADRACE_API_TOKEN": (("api_token",), _text, "any text"),
    "HEADRACE_WORKERS": (("workers",), _count, "a whole number, as in 2"),
    "HEADRACE_GRACE": (("grace",), _seconds, "seconds, as in 10"),
    "HEADRACE_KILL_AFTER": (("kill_after",), _seconds, "seconds, as in 5"),
    "HEADRACE_ALIVE_FILE": (("alive_file",), _text, "a file"),
    "HEADRACE_MAX_JOBS_PER_CHILD": (
        ("max_jobs_per_child",),
        _count,
        "a whole number, as in 10000",
    ),
    "HEADRACE_JOBS_PER_COMMIT": (("jobs_per_commit",), _count, "a whole number, as in 16"),
    "HEADRACE_MAX_MEMORY_MB": (("max_memory_mb",), _count, "a whole number, as in 2048"),
    "HEADRACE_RETENTION": (("retention",), _seconds, "a duration, as in 30d"),
    "HEADRACE_LOG_RETENTION": (("log_retention",), _seconds, "a duration, as in 30d"),
    "HEADRACE_SESSION_LIFETIME": (("session_lifetime",), _seconds, "a duration, as in 12h"),
    "HEADRACE_LOG_LEVEL": (("log_level",), str.lower, "debug, info, warning or error"),
    "HEADRACE_LOG_FORMAT": (("log_format",), str.lower, "text or json"),
}


def overrides(environ: Mapping[str, str]) -> tuple[dict[KeyPath, Any], list[Problem]]:
    """Return the values that the environment sets, by key, and what cannot be read.

    An empty variable counts as unset: compose files pass those on.
    """
    values: dict[KeyPath, Any] = {}
    problems = []
    for name, (path, read, takes) in VARIABLES.items():
        text = environ.get(name, "").strip()
        if not text:
            continue
        try:
            values[path] = read(text)
        except ValueError:
            problems.append(
                variable_problem(path, "bad-value", f'"{text}" cannot be read', f"it takes {takes}")
            )
    return values, problems


def variable_of(path: KeyPath) -> str | None:
    """Return the variable that sets a key, or None."""
    return next((name for name, (of, _, _) in VARIABLES.items() if of == path), None)


def variable_problem(path: KeyPath, code: str, message: str, hint: str) -> Problem:
    """Return a problem of the variable that sets the key `path`."""
    name = variable_of(path) or variable_of(path[:-1]) or str(path[0])
    return Problem(f"environment variable {name}", 0, 0, code, message, hint)
