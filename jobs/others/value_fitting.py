"""Texts of PostgreSQL as the values that another database's driver takes: exact, or an error."""

import math
import re
import struct
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from headrace.errors import JobFailure
from headrace.errors.shortened import shortened
from headrace.jobs.others.pg_types import family_of, parts_of
from headrace.model.connection import PRODUCTS, Kind

Fit = Callable[[str], Any]

_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d:\d\d(?:\.(\d+))?"
_DATE = re.compile(_DAY)
_TIME = re.compile(_CLOCK)
_INSTANT = re.compile(rf"({_DAY}(?: {_CLOCK})?)(?:\+00)?")
_INFINITE = ("infinity", "-infinity")
_LONGEST_INT = 2**63
# PostgreSQL's numbers have up to 147,455 digits; Python's own context would round at 28.
_EXACT = Context(prec=150_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
_NOT_THERE = "has no place there"


class Unfit(JobFailure):
    """A value would not be the same in the other database."""


def fit_of(kind: Kind, source: str, target: str) -> Fit:
    """Return what makes a driver's value of a text of the type `source`, for a column of `target`.

    Raises (the function that is returned):
        Unfit: the column would hold another value.
    """
    typed = kind == "duckdb"  # It reads texts by the columns' types, as PostgreSQL writes them.
    match family_of(target):
        case "bool":
            return (lambda text: text) if typed else _boolean
        case "int":
            return (lambda text: text) if typed else _integer
        case "numeric":
            return _number(kind, target)
        case "float":
            return _float(kind, source, target)
        case "bytes":
            return _octets
        case "date" | "time" | "timestamp" | "timestamptz":
            return _moment(kind, target)
        case "interval" if typed:
            # Each part has a sign of its own there, but no plus.
            return lambda text: text.replace("+", "")
    return lambda text: text


def _boolean(text: str) -> int:
    return int(text in ("t", "true"))


def _integer(text: str) -> int:
    value = int(text)
    if not -_LONGEST_INT <= value < _LONGEST_INT:
        raise Unfit(_NOT_THERE)
    return value


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _number(kind: Kind, target: str) -> Fit:
    scale = parts_of(target)[2]
    if scale is None and parts_of(target)[1] is not None:
        scale = 0

    def fit(text: str) -> Any:
        value = Decimal(text)
        if not value.is_finite():
            raise Unfit(_NOT_THERE)
        if scale is not None and -int(value.normalize(_EXACT).as_tuple().exponent) > scale:
            raise Unfit(f"has more than {scale} digits after the point")
        return _stored(value) if kind == "sqlite" else text

    return fit


def _stored(value: Decimal) -> int | float:
    """Return a number as SQLite stores it."""
    if value == value.to_integral_value() and -_LONGEST_INT <= value < _LONGEST_INT:
        return int(value)
    near = float(value)
    if Decimal(repr(near)) != value:
        raise Unfit("has more digits than SQLite's numbers keep: make the column text")
    return near


def _float(kind: Kind, source: str, target: str) -> Fit:
    narrows = target == "real" and source != "real"

    def fit(text: str) -> Any:
        value = float(text)
        finite = math.isfinite(value)
        if not finite and kind != "duckdb":
            raise Unfit(_NOT_THERE)
        if narrows and finite and struct.unpack("f", struct.pack("f", value))[0] != value:
            raise Unfit("has more digits than a float of four bytes keeps")
        return text if kind == "duckdb" else value

    return fit


def _moment(kind: Kind, target: str) -> Fit:
    name, digits, _ = parts_of(target)
    most = 6 if digits is None else digits
    family = family_of(target)
    wanted = {"date": _DATE, "time": _TIME}.get(family, _INSTANT)
    keeps_zone = kind == "duckdb" and family == "timestamptz"
    too_early = kind == "mysql" and family != "time"  # Its days begin with the year 100.

    def fit(text: str) -> str:
        if kind == "duckdb" and text in _INFINITE:
            return text
        found = wanted.fullmatch(text)
        if found is None or (too_early and text[:2] == "00"):
            raise Unfit(_NOT_THERE)
        fraction = found[found.re.groups] if found.re.groups else None
        if fraction and len(fraction.rstrip("0")) > most:
            raise Unfit(f"has more than {most} digits of a second, which {name} does not keep")
        return text if keeps_zone or found.re is not _INSTANT else found[1]

    return fit


def told(kind: Kind, column: str, text: str, reason: Unfit) -> Unfit:
    """Return the error with the column and the value."""
    return Unfit(f"column {column}: {shortened(text)!r} {reason} ({PRODUCTS[kind]})")
