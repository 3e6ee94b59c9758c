"""Masks: what each kind makes of a column, and of which type it can be none."""

import re
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.tables import masks
from headrace.jobs.tables.masks import Mask, read_masks, salted
from headrace.jobs.tables.table_catalog import Column

COLUMN = Column(
    "A b", "text", not_null=True, default="'x'", has_default=True, identity="a", generated=True
)
HASH = """encode(sha256(convert_to((?)::text || "A b"::text, 'UTF8')), 'hex')"""
FIRST = "'Ada', 'Ben', 'Cleo', 'Dan', 'Eva', 'Finn', 'Gia', 'Hugo', 'Ida', 'Jon'"
LAST = "'Abel', 'Berg', 'Cole', 'Dahl', 'Egan', 'Frost', 'Grant', 'Holm', 'Iver', 'Juhl'"
CITY = "'Aston', 'Brook', 'Corby', 'Dover', 'Ely', 'Fowey', 'Goole', 'Hythe', 'Ilkley'"
COMPANY = "'Acme', 'Birch', 'Cedar', 'Delta', 'Ember', 'Flint', 'Grove', 'Heron', 'Iris'"
TEXTS = ["text", "name", "character(9)", "character varying", "character varying(9)"]
OTHERS = ["text[]", "character varying(9)[]", "names.kind", "boolean", "integer[]", "text_kind.t"]
UNSALTED = (
    "needs mask_salt: {env: NAME}; without a secret, values could be found by hashing guesses"
)
KINDS = (
    "hash, null, partial:4, {constant: …}, fake:city, fake:company, fake:email, fake:first_name, "
    "fake:last_name, fake:name, fake:phone"
)


def one_of(words: str, count: int, at: int) -> str:
    return f"(ARRAY[{words}])[1 + ('x' || substr({HASH}, {at}))::bit(31)::int % {count}]"


def applied(mask: Mask, type_: str) -> tuple[Column, str, list[Any]]:
    column, value = mask.applied(replace(COLUMN, type=type_))
    return column, re.sub(r":p\d+", "?", value.display), list(value.binds.values())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", f"'user_' || left({HASH}, 12) || '@example.com'"),
        ("phone", f"'+00' || lpad((('x' || {HASH})::bit(31)::int % 1000000000)::text, 9, '0')"),
        ("first_name", one_of(FIRST, 10, 1)),
        ("last_name", one_of(LAST, 10, 8)),
        ("city", one_of(CITY, 9, 15)),
        ("company", one_of(COMPANY, 9, 22)),
        ("name", f"{one_of(FIRST, 10, 1)} || ' ' || {one_of(LAST, 10, 8)}"),
    ],
)
@pytest.mark.parametrize("type_", TEXTS)
def test_a_fake_is_chosen_by_the_salted_hash(type_: str, kind: str, value: str) -> None:
    _, text, salts = applied(Mask("fake", kind, "salt"), type_)

    assert text == f'(CASE WHEN "A b" IS NOT NULL THEN {value} END)::{type_}'
    assert set(salts) == {"salt"}


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", HASH),
        ("name", HASH),
        ("character varying", HASH),
        ("character varying(9)", f"left({HASH}, 9)"),
        ("character(9)", f"left({HASH}, 9)"),
        ("uuid", f"left({HASH}, 32)"),
        ("bigint", f"(('x' || {HASH})::bit(63)::bigint)"),
        ("bytea", f"decode({HASH}, 'hex')"),
    ],
)
def test_a_hash_fits_its_columns_type(type_: str, value: str) -> None:
    _, text, salts = applied(Mask("hash", None, "salt"), type_)

    assert (text, salts) == (f"({value})::{type_}", ["salt"])


def test_what_is_left_of_a_text_is_its_end() -> None:
    _, text, _ = applied(Mask("partial", 4), "character(9)")

    assert text == (
        """(CASE WHEN length("A b") <= 4 THEN repeat('*', length("A b")) ELSE """
        """repeat('*', length("A b") - 4) || right("A b", 4) END)::character(9)"""
    )


@pytest.mark.parametrize(
    ("given", "written"),
    [("x", "x"), (5, "5"), (False, "False"), (None, None), ({"a": 1}, '{"a": 1}'), ([1], "[1]")],
)
def test_a_constant_is_written_as_its_column_reads_it(given: Any, written: str | None) -> None:
    _, text, values = applied(Mask("constant", given), "jsonb")

    assert text == 'CASE WHEN "A b" IS NOT NULL THEN (?)::text::jsonb END'
    assert values == [written]


@pytest.mark.parametrize("kind", ["hash", "null", "partial", "fake", "constant"])
def test_a_masked_column_takes_no_value_by_itself_and_may_lack_one_only_where_it_is_null(
    kind: str,
) -> None:
    given = {"partial": 4, "fake": "city"}.get(kind)
    column, _, _ = applied(Mask(kind, given), "text")

    assert column == Column("A b", "text", not_null=kind != "null")


@pytest.mark.parametrize("type_", OTHERS)
def test_what_is_no_text_is_refused_where_a_text_is_needed(type_: str) -> None:
    for mask in (Mask("partial", 4), Mask("fake", "city")):
        with pytest.raises(InvalidPayload) as refused:
            applied(mask, type_)
        assert str(refused.value) == (
            f"mask: A b is {type_}, and {mask.kind} needs a text: take hash, null or "
            "{constant: …}"
        )
    with pytest.raises(InvalidPayload) as refused:
        applied(Mask("hash"), type_)
    told = f"mask: A b is {type_}, which has no hash: take null or {{constant: …}}"
    assert str(refused.value) == told
    assert applied(Mask("null"), type_)[1] == f"NULL::{type_}"


def test_masks_are_read_by_column() -> None:
    given: dict[str, Any] = {
        "a": "hash", "b": "null", "c": "partial:0", "d": "fake:name", "e": {"constant": 1},
    }  # fmt: skip

    assert read_masks(given, {"env": "SALT"}) == {
        "a": Mask("hash"),
        "b": Mask("null"),
        "c": Mask("partial", 0),
        "d": Mask("fake", "name"),
        "e": Mask("constant", 1),
    }
    assert read_masks(None, None) == {}


@pytest.mark.parametrize(
    "given",
    ["hash:1", "null:x", "partial", "partial:-1", "fake", "fake:dog", "x", {"constant": 1, "b": 2}],
)
def test_a_mask_that_there_is_not_is_told_with_those_that_there_are(given: Any) -> None:
    with pytest.raises(InvalidPayload) as refused:
        read_masks({"a": given}, {"env": "SALT"})

    assert str(refused.value) == f"mask: a has {given!r}, which is none of {KINDS}"


@pytest.mark.parametrize(
    ("mask", "salt", "told"),
    [
        ({"a": "null", "b": "fake:city"}, None, f"the mask of b {UNSALTED}"),
        ({"a": "hash"}, None, f"the mask of a {UNSALTED}"),
        ({}, {"env": "A", "x": "b"}, "mask_salt names a variable of the worker: {env: NAME}"),
        ({}, {}, "mask_salt names a variable of the worker: {env: NAME}"),
    ],
)
def test_a_mask_by_hash_needs_a_salt_of_the_workers(mask: Any, salt: Any, told: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        read_masks(mask, salt)

    assert str(refused.value) == told


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_salt_is_none(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    kept = {"a": Mask("hash"), "b": Mask("partial", 4)}
    given = {"${SALT}": "secret"}
    monkeypatch.setattr(masks, "reveal", lambda text: given[text])
    assert salted(kept, {"env": "SALT"}) == {
        "a": Mask("hash", salt="secret"),
        "b": Mask("partial", 4, "secret"),
    }
    assert salted(kept, None) == kept

    given["${SALT}"] = empty
    unsalted = {"b": Mask("partial", 4), "c": Mask("null")}
    assert list(salted(unsalted, {"env": "SALT"})) == ["b", "c"]
    with pytest.raises(JobFailure) as refused:
        salted(kept, {"env": "SALT"})

    assert str(refused.value) == (
        "mask_salt: the variable SALT is empty in the worker's environment, and values could be "
        "found by hashing guesses: set it to a secret"
    )
