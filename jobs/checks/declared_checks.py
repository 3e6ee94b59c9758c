"""Reads the key `checks`: a list of checks in Soda's words."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.errors import InvalidPayload
from headrace.errors.suggestions import did_you_mean
from headrace.jobs.checks.bounds import WORDS, Bound, bound_of, exactly
from headrace.jobs.checks.check import Check
from headrace.jobs.checks.key_values import refuse_values
from headrace.jobs.checks.kinds import KINDS, Kind

_OF_ALL = ("name", "level", "table", "filter")
_LEVELS = ("error", "warn")


def checks_of(
    given: Sequence[Mapping[str, Any]] | None, table: str | None, where: str | None = None
) -> list[Check]:
    """Read a list of checks; `table` and `where` hold for those that name none of their own.

    Raises:
        InvalidPayload: naming the check and what is wrong with it.
    """
    return [_check(place, one, table, where) for place, one in enumerate(given or ())]


def _check(place: int, given: Any, table: str | None, where: str | None) -> Check:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise InvalidPayload(
            f"checks[{place}] is one check, as in - row_count: {{must_be_greater_than: 0}}"
        )
    ((word, keys),) = given.items()
    kind = KINDS.get(word)
    if kind is None:
        raise InvalidPayload(
            f'checks[{place}]: there is no check "{word}"; '
            + did_you_mean(str(word), KINDS, listed_as="there are")
        )
    keys = {} if keys is None else keys
    if not isinstance(keys, Mapping):
        raise InvalidPayload(f"checks[{place}]: {word} takes a mapping, not {keys!r}")
    _refuse_unknown(place, word, kind, keys)
    own = {key: keys[key] for key in kind.keys if key in keys}
    refuse_values(f"checks[{place}]: {word}", own)
    kind.refuse(f"checks[{place}]: {word}", own)
    # Of `compare` the key `table` names the one on the other connection.
    here = (table or keys.get("table")) if "table" in kind.keys else keys.get("table", table)
    found = Check(
        kind=word,
        name="",
        bound=exactly(0),
        table=_text(place, word, "table", here),
        filter=_text(place, word, "filter", keys.get("filter", where)),
        given=own,
        level=_level(place, word, keys.get("level", "error")),
    )
    if kind.needs_table(own) and found.table is None:
        raise InvalidPayload(f"checks[{place}]: {word} needs a table: {{{word}: {{table: …}}}}")
    named = _text(place, word, "name", keys.get("name")) or kind.name_of(found)
    return _with(found, named, _bound(f"checks[{place}]: {word}", kind, found, keys))


def _with(check: Check, name: str, bound: Bound) -> Check:
    return Check(check.kind, name, bound, check.table, check.filter, check.given, check.level)


def _bound(name: str, kind: Kind, check: Check, keys: Mapping[str, Any]) -> Bound:
    return bound_of(keys, name=name, unit=kind.unit_of(check), default=kind.default_of(check))


def _refuse_unknown(place: int, word: str, kind: Kind, keys: Mapping[str, Any]) -> None:
    known = [*kind.keys, *_OF_ALL, *WORDS]
    for key in keys:
        if key not in known:
            raise InvalidPayload(
                f'checks[{place}]: {word} has no key "{key}"; '
                + did_you_mean(str(key), known, listed_as="it takes")
            )
    for key in kind.required:
        if key not in keys:
            raise InvalidPayload(f'checks[{place}]: {word} needs the key "{key}"')


def _text(place: int, word: str, key: str, given: Any) -> str | None:
    if given is not None and not isinstance(given, str):
        raise InvalidPayload(f"checks[{place}]: {key} of {word} is a text, not {given!r}")
    return given


def _level(place: int, word: str, given: Any) -> Any:
    if given not in _LEVELS:
        raise InvalidPayload(f"checks[{place}]: level of {word} is error or warn, not {given!r}")
    return given
