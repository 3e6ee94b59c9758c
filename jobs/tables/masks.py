"""Masks: values that a copy must not show, replaced while they are read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import reveal
from headrace.jobs.tables.number_exchange import NumberExchange
from headrace.jobs.tables.table_catalog import Column
from headrace.model import exact_json
from headrace.template import RenderedSql, quote_name, render

MaskGiven = str | dict[Literal["constant"], Any]
"""`hash`, `null`, `partial:4`, `fake:email`, or `{constant: x}`."""

_FAKES = {
    "first_name": ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ida", "Jon"),
    "last_name": ("Abel", "Berg", "Cole", "Dahl", "Egan", "Frost", "Grant", "Holm", "Iver", "Juhl"),
    "city": ("Aston", "Brook", "Corby", "Dover", "Ely", "Fowey", "Goole", "Hythe", "Ilkley"),
    "company": ("Acme", "Birch", "Cedar", "Delta", "Ember", "Flint", "Grove", "Heron", "Iris"),
}
_WRITTEN = {"email": "'user_' || left({h}, 12) || '@example.com'",
            "phone": "'+00' || lpad(({n} % 1000000000)::text, 9, '0')",
            "name": "{first_name} || ' ' || {last_name}"}  # fmt: skip
MASK_KINDS = ("hash", "null", "partial:4", "constant",
              *(f"fake:{name}" for name in sorted([*_FAKES, *_WRITTEN])))  # fmt: skip
_KINDS = ", ".join(MASK_KINDS).replace("constant", "{constant: …}")
_LIMIT = re.compile(r"character(?: varying)?\((\d+)\)")
# No array of texts, and no type of somebody's whose schema begins with one of the words.
_TEXT = re.compile(r"(?:text|name|character(?: varying)?)(?:\(\d+\))?")
_SALTED = ("hash", "fake")
_EXCHANGED = {"smallint": NumberExchange(15), "integer": NumberExchange(31)}


@dataclass(frozen=True, slots=True)
class Mask:
    """One column's mask: its `kind`, with what the kind needs."""

    kind: str
    given: Any = None
    salt: str = ""

    def applied(self, column: Column) -> tuple[Column, RenderedSql]:
        """Return the column as the copy has it, and the expression that masks it; NULL stays.

        Raises:
            InvalidPayload: the kind does not fit the column's type.
        """
        name, type_ = quote_name(column.name), column.type
        # Of all masks only a hash leaves different values different.
        in_key = column.in_key and self.kind == "hash"
        bare = replace(
            column, default=None, has_default=False, identity="", generated=False, in_key=in_key
        )
        if self.kind == "null":
            empty = replace(bare, not_null=False)
            return empty, RenderedSql(f"NULL::{type_}", {})
        if self.kind == "constant":
            text = "CASE WHEN {{ c }} IS NOT NULL THEN {{ value }}::text::{{ type }} END"
            return bare, _rendered(text, column, value=_constant(self.given))
        if self.kind == "hash":
            return bare, self._hashed(column)
        if not _TEXT.fullmatch(type_):
            raise InvalidPayload(
                f"mask: {column.name} is {type_}, and {self.kind} needs a text: take hash, null or "
                "{constant: …}"
            )
        if self.kind == "partial":
            return bare, RenderedSql(
                f"(CASE WHEN length({name}) <= {self.given} THEN repeat('*', length({name})) ELSE "
                f"repeat('*', length({name}) - {self.given}) || right({name}, {self.given}) END)"
                f"::{type_}",
                {},
            )
        return bare, self._faked(column)

    def in_steps(self, column: Column) -> list[RenderedSql]:
        """Return it as expressions without a subquery, each of the value that the last has made.

        Raises:
            InvalidPayload: the kind does not fit the column's type.
        """
        if self.kind == "hash" and (exchange := _EXCHANGED.get(column.type)) is not None:
            texts = exchange.steps()
            return [_rendered(f"({one})::{{{{ type }}}}", column, salt=self.salt) for one in texts]
        return [self.applied(column)[1]]

    def _hashed(self, column: Column) -> RenderedSql:
        type_ = column.type
        hashed = _HASH
        limit = _LIMIT.fullmatch(type_)
        if limit is not None:
            hashed = f"left({hashed}, {limit[1]})"
        elif type_ == "uuid":
            hashed = f"left({hashed}, 32)"
        elif type_ in _EXCHANGED:
            hashed = _EXCHANGED[type_].expression()
        elif type_ == "bigint":
            hashed = f"(('x' || {hashed})::bit(63)::bigint)"
        elif type_ == "bytea":
            hashed = f"decode({hashed}, 'hex')"
        elif not _TEXT.fullmatch(type_):
            raise InvalidPayload(
                f"mask: {column.name} is {type_}, which has no hash: take null or {{constant: …}}"
            )
        return _rendered(f"({hashed})::{{{{ type }}}}", column, salt=self.salt)

    def _faked(self, column: Column) -> RenderedSql:
        number = f"('x' || {_HASH})::bit(31)::int"
        picked = {
            kind: f"(ARRAY[{', '.join(map(repr, words))}])"
            f"[1 + ('x' || substr({_HASH}, {at * 7 + 1}))::bit(31)::int % {len(words)}]"
            for at, (kind, words) in enumerate(_FAKES.items())
        }
        text = picked.get(self.given) or _WRITTEN[self.given].format(h=_HASH, n=number, **picked)
        text = f"(CASE WHEN {{{{ c }}}} IS NOT NULL THEN {text} END)::{{{{ type }}}}"
        return _rendered(text, column, salt=self.salt)


_HASH = "encode(sha256(convert_to({{ salt }}::text || {{ c }}::text, 'UTF8')), 'hex')"


def read_masks(
    given: Mapping[str, MaskGiven] | None, salt: Mapping[Any, str] | None
) -> dict[str, Mask]:
    """Read the parameters `mask` and `mask_salt`.

    Raises:
        InvalidPayload: a mask is not known, or lacks its salt.
    """
    masks = {name: _read(name, one) for name, one in (given or {}).items()}
    salted = [name for name, mask in masks.items() if mask.kind in _SALTED]
    if salt is not None and set(salt) != {"env"}:
        raise InvalidPayload("mask_salt names a variable of the worker: {env: NAME}")
    if salted and salt is None:
        raise InvalidPayload(
            f"the mask of {salted[0]} needs mask_salt: {{env: NAME}}; without a secret, values "
            "could be found by hashing guesses"
        )
    return masks


def salted(masks: Mapping[str, Mask], salt: Mapping[Any, str] | None) -> dict[str, Mask]:
    """Return the masks with the salt, which is read here and never shown.

    Raises:
        JobFailure: the variable is not set, or is empty where a mask needs it.
    """
    if salt is None:
        return dict(masks)
    secret = reveal(f"${{{salt['env']}}}")
    if not secret.strip() and any(mask.kind in _SALTED for mask in masks.values()):
        raise JobFailure(
            f"mask_salt: the variable {salt['env']} is empty in the worker's environment, and "
            "values could be found by hashing guesses: set it to a secret"
        )
    return {name: replace(mask, salt=secret) for name, mask in masks.items()}


def _read(name: str, given: MaskGiven) -> Mask:
    if isinstance(given, dict) and set(given) == {"constant"}:
        return Mask("constant", given["constant"])
    kind, _, rest = str(given).partition(":")
    if kind in ("hash", "null") and not rest:
        return Mask(kind)
    if kind == "partial" and rest.isdecimal():
        return Mask(kind, int(rest))
    if kind == "fake" and rest in (*_FAKES, *_WRITTEN):
        return Mask(kind, rest)
    raise InvalidPayload(f"mask: {name} has {given!r}, which is none of {_KINDS}")


def _constant(given: Any) -> str | None:
    if given is None or isinstance(given, str):
        return given
    return exact_json.dumps(given) if isinstance(given, dict | list) else str(given)


def _rendered(text: str, column: Column, **values: Any) -> RenderedSql:
    own = {
        "c": RenderedSql(quote_name(column.name), {}),
        "type": RenderedSql(column.type, {}),
    }
    return render(text, own | values, name="mask")
