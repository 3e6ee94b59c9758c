"""Secrets by reference: `${NAME}` in a text names a variable of the worker's environment.

What is stored, shown and sent holds the reference only. A worker puts the value in its place
when it executes the job, and hides that value in whatever the job says from then on.
`$${` stands for `${` itself.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from headrace.errors import JobFailure

# What a value is shown as.
MASK = "***"

# A shorter one is hidden as a word only: within words it would blot out half of every line.
SHORTEST_HIDDEN = 4
# A single character is no secret.
_SHORTEST = 2

# A reference, in group 1; or the two dollars that write one.
REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_OWN = re.compile(
    r"HEADRACE_\w*|DATABASE_URL|REDIS_URL|JOB_(?:DEFAULT_QUEUE|TIMEOUT|MAX_RETRIES|RETRY_INTERVAL)"
)
# Else whoever may dispatch a job could have it send the worker's secrets anywhere.
NOT_AUTHORED = "${NAME} names a variable only in a pipeline file; here $${ stands for the text ${"
_USED = "config.yaml takes it from the environment for itself"
# What decides which code a program runs, before its first line.
_LOADING = re.compile(r"PATH|LD_\w+|DYLD_\w+|PYTHON\w+|BASH_ENV|ENV|IFS")


def why_not_set(name: str) -> str | None:
    """Return why no step may set this variable, None where it may."""
    if _OWN.fullmatch(name):
        return "it is Headrace's own"
    if _LOADING.fullmatch(name):
        return "it decides which code the worker runs"
    return _USED if name in _withheld else None


def why_not_read(name: str) -> str | None:
    """Return why no `${NAME}` may name this variable, None where it may."""
    if _OWN.fullmatch(name):
        return "it is Headrace's own"
    return _USED if name in _withheld else None


def malformed(text: str) -> str | None:
    """Return the first `${` that neither names a variable nor is written with two dollars."""
    rest = REFERENCE.sub("", text)
    start = rest.find("${")
    return rest[start : start + 20] if start >= 0 else None


def referred(text: str) -> list[str]:
    """Return the variables that a text names, in its order."""
    return [match[1] for match in REFERENCE.finditer(text) if match[1]]


def names_any(value: Any) -> bool:
    """Return whether any text in a value, at whatever depth, names a variable."""
    if isinstance(value, str):
        return bool(referred(value))
    if isinstance(value, Mapping):
        return any(names_any(item) for item in value.values())
    return isinstance(value, list | tuple) and any(map(names_any, value))


def reveal(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a text with each reference's value in its place; the values are hidden from now on.

    Raises:
        JobFailure: a variable is not set, or may not be read. No value is told.
    """
    variables = os.environ if environ is None else environ
    return REFERENCE.sub(lambda match: _value(match[1], variables) if match[1] else "${", text)


def _value(name: str, environ: Mapping[str, str]) -> str:
    reason = why_not_read(name)
    if reason:
        raise JobFailure(f"${{{name}}} cannot be read by a job: {reason}")
    if name not in environ:
        raise JobFailure(
            f"the environment variable {name} is not set in the worker: ${{{name}}} has no value"
        )
    hide(environ[name])
    return environ[name]


# -- hiding -------------------------------------------------------------------------------

# What the job at hand has read, and what the process's settings hold.
_hidden: set[str] = set()
_kept: set[str] = set()
_withheld: set[str] = set()
_pattern: list[re.Pattern[str]] = []


def keep(values: Iterable[str], withheld: Iterable[str]) -> None:
    """Hide these values in all that this process says, and have no job read these variables.

    The settings' own, which hold until this is called again.
    """
    _kept.clear()
    for value in values:
        _kept.update(_parts(value))
    _withheld.clear()
    _withheld.update(withheld)
    _pattern.clear()


def hide(value: str) -> None:
    """Have `redacted` leave out a value, and each line of it, as it is or encoded."""
    parts = _parts(value)
    if not parts <= _hidden:
        _hidden.update(parts)
        _pattern.clear()


def _parts(value: str) -> set[str]:
    """Return the forms of a value and of each of its lines that are long enough to be hidden."""
    lines = {value, *value.splitlines()}
    return {form for part in lines if len(part.strip()) >= _SHORTEST for form in _forms(part)}


def forget() -> None:
    """Hide what the job knew no more: it has ended."""
    if _hidden:
        _hidden.clear()
        _pattern.clear()


def hides() -> bool:
    """Return whether any value is hidden."""
    return bool(_hidden or _kept)


def redacted(text: str) -> str:
    """Return a text without the values that are hidden. Costs nothing where there are none."""
    if not hides():
        return text
    if not _pattern:
        # The longest first: one value may begin with another.
        ordered = sorted(_hidden | _kept, key=len, reverse=True)
        _pattern.append(re.compile("|".join(map(_as_pattern, ordered))))
    return _pattern[0].sub(MASK, text)


def _as_pattern(value: str) -> str:
    """Return what finds a value; a short one only where it is a word of its own."""
    found = re.escape(value)
    return found if len(value) >= SHORTEST_HIDDEN else rf"(?<!\w){found}(?!\w)"


def redacted_json(text: str | None) -> str | None:
    """Return JSON with the values hidden in its texts and keys; what is no text stays."""
    # In a text of JSON each value stands in one of the forms that are looked for.
    if text is None or redacted(text) == text:
        return text
    # Imported here: every command loads this module, and few read JSON.
    from headrace.model import exact_json

    return exact_json.dumps(_redacted(exact_json.loads(text)))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted(key): _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return value


def _forms(value: str) -> set[str]:
    """Return a value as it may appear: plain, stripped, as a literal, as JSON, in a URL."""
    plain = {value, value.strip()}
    return plain | {
        form
        for one in plain
        for form in (
            repr(one)[1:-1],
            ascii(one)[1:-1],
            json.dumps(one)[1:-1],
            quote(one),
            quote(one, safe=""),
            quote_plus(one),
        )
    }
