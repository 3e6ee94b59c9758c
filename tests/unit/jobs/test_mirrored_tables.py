"""MirrorTable for several tables: which are meant, in which order, and in which parts."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.mirroring import copies, key_order
from headrace.jobs.mirroring.copies import Choice, Copy
from headrace.jobs.mirroring.key_order import ForeignKey, Order, in_order
from headrace.jobs.mirroring.parts import _ranges
from headrace.jobs.tables.masks import Mask
from headrace.jobs.transfer.copy_forecast import together
from headrace.jobs.transfer.selection import Selection
from headrace.model.forecast import Forecast, TableForecast

HASH = Mask("hash")
# Schema, name, whether the search path has it, whether an extension has brought it.
THERE = [
    ("public", "orders", True, False),
    ("public", "order_line", True, False),
    ("public", "ordersx", True, False),
    ("public", "spatial_ref", True, True),
    ("old", "orders", False, False),
    ("old", "Odd*Name", False, False),
    ("public", "odd*name", True, False),
    ("public", "A.b", True, False),
]
ONE_OF_THEM = "leave one of them out, or copy them in steps of their own"
SESSION: Any = object()


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("schema", "name", "visible", "of_extension")
    rows = [dict(zip(keys, one, strict=True)) for one in THERE]
    answer = SimpleNamespace(mappings=lambda: rows)
    monkeypatch.setattr(copies, "execute", lambda *_: answer)


def chosen(*tables: str, **given: Any) -> list[Copy]:
    where, masks = given.get("where", {}), given.get("mask", {})
    return Choice.read(tables, given.get("target_schema"), where, masks).copies(SESSION, masks)


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        (["orders"], ["public.orders"]),
        (["old.orders"], ["old.orders"]),
        (["order?"], ["public.orders"]),
        (["order*"], ["public.order_line", "public.orders", "public.ordersx"]),
        (["*.orders"], ["old.orders", "public.orders"]),
        (["o?d.order*"], ["old.orders"]),
        (["public.*", "!order*"], ['public."A.b"', 'public."odd*name"']),
        (['public."A.b"'], ['public."A.b"']),
        (["orders", '"A.b"', '!public."A.b"'], ["public.orders"]),
        (["order*", "!ordersx", "! old.*"], ["public.order_line", "public.orders"]),
        (["!old.*", "*.orders"], ["public.orders"]),
        (["orders", "orders", "public.orders"], ["public.orders"]),
        (["spatial_ref"], ["public.spatial_ref"]),
        (["odd*"], ['public."odd*name"']),
        (["old.*"], ['old."Odd*Name"', "old.orders"]),
    ],
)
def test_a_pattern_means_tables_by_their_names(tables: list[str], found: list[str]) -> None:
    assert chosen(*tables) == [Copy(name, name, Selection()) for name in found]


def test_a_view_is_meant_by_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def readable(session: object, name: str) -> object:
        assert session is SESSION
        if name != "v":
            raise JobFailure(f"there is no table {name}")
        return SimpleNamespace(schema="public", name="v")

    monkeypatch.setattr(copies, "readable_table", readable)

    assert chosen("orders", "v") == [
        Copy("public.orders", "public.orders", Selection()),
        Copy("public.v", "public.v", Selection()),
    ]
    assert chosen("orders", "v", "!v") == [Copy("public.orders", "public.orders", Selection())]
    with pytest.raises(JobFailure, match=r"^there is no table w$"):
        chosen("orders", "w")


def test_a_table_of_an_extension_and_a_pattern_in_vain_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    chosen("public.*", "!audit_*", "!ordersx")

    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", "public.spatial_ref belongs to an extension and is left out"),
        ("WARNING", '"!audit_*" of tables leaves nothing out'),
    ]


def test_conditions_and_masks_go_to_their_tables_and_all_to_one_schema() -> None:
    masks = {"orders.a": HASH, 'public.orders."B c"': Mask("null")}
    where = {"order_line": "n > 1"}

    found = chosen("public.order_line", "orders", where=where, mask=masks, target_schema="Copy")

    assert found == [
        Copy("public.order_line", "Copy.order_line", Selection(where="n > 1")),
        Copy(
            "public.orders",
            "Copy.orders",
            Selection(masks={'"a"': HASH, '"B c"': Mask("null")}),
        ),
    ]


@pytest.mark.parametrize(
    ("tables", "given", "told"),
    [
        (["audit_*"], {}, '"audit_*" of tables means no table of the source'),
        (["spatial*"], {}, '"spatial*" of tables means no table of the source'),
        (
            ["orders", "!order*"],
            {},
            "tables leaves out all that it names: nothing is left to copy",
        ),
        (
            ["*.orders"],
            {"where": {"orders": "a"}},
            "where names orders, which several tables are called: write the schema, too",
        ),
        (
            ["*.orders"],
            {"where": {"new.orders": "a"}},
            "where names new.orders, which is none of the tables: old.orders, public.orders",
        ),
        (
            ["orders"],
            {"where": {"orders": "a", "public.orders": "b"}},
            "where names public.orders twice: join the conditions by AND",
        ),
        (
            ["orders"],
            {"mask": {"orders.a": HASH, 'public.orders."a"': Mask("null")}},
            'mask names public.orders."a" twice: keep one of them',
        ),
        (
            ["orders"],
            {"mask": {"lines.a": HASH}},
            "mask names lines.a, which is none of the tables: public.orders",
        ),
        (
            ["*.orders"],
            {"target_schema": "copy"},
            f"old.orders and public.orders would both go to copy.orders: {ONE_OF_THEM}",
        ),
    ],
)
def test_what_tables_cannot_mean_is_told(tables: list[str], given: Any, told: str) -> None:
    with pytest.raises(JobFailure) as refused:
        chosen(*tables, **given)

    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("tables", "given", "told"),
    [
        (["!a", "!b"], {}, "tables names none to copy: write patterns such as"),
        ([], {}, "tables names none to copy: write patterns such as"),
        (["a.b.c"], {}, "'a.b.c' has too many dots: write schema.table"),
        (
            ["a"],
            {"mask": {"b": HASH}},
            "mask: b is no column of a table: with tables it is written",
        ),
        (["a"], {"where": {"a": " "}}, "where of a is empty: leave it out to take all rows"),
    ],
)
def test_what_is_no_choice_of_tables_is_refused(tables: list[str], given: Any, told: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        Choice.read(tables, None, given.get("where", {}), given.get("mask", {}))

    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("size", "most", "parts"),
    [
        (100, None, [""]),
        (100, 100, [""]),
        (0, 10, [""]),
        (101, 100, ["ctid < '(6,0)'::tid", "ctid >= '(6,0)'::tid"]),
        (
            100,
            40,
            [
                "ctid < '(4,0)'::tid",
                "ctid >= '(4,0)'::tid AND ctid < '(8,0)'::tid",
                "ctid >= '(8,0)'::tid",
            ],
        ),
        # No part is less than a page.
        (20, 1, ["ctid < '(1,0)'::tid", "ctid >= '(1,0)'::tid"]),
    ],
)
def test_a_large_table_is_read_in_ranges_of_its_pages(
    size: int, most: int | None, parts: list[str]
) -> None:
    assert _ranges(size, 10, most) == parts


def key(child: int, parent: int, *, deferrable: bool = False) -> ForeignKey:
    return ForeignKey(
        f"k{child}{parent}", "s", child, parent, f"t{child}", f"t{parent}", deferrable, ["a"],
        ["b"], "",
    )  # fmt: skip


def ordered(monkeypatch: pytest.MonkeyPatch, oids: list[int], keys: list[ForeignKey]) -> Order:
    monkeypatch.setattr(key_order, "foreign_keys", lambda _session, _oids: keys)
    return in_order(SESSION, oids)


def test_tables_come_behind_those_that_they_refer_to(monkeypatch: pytest.MonkeyPatch) -> None:
    # To itself, to a table beside these, and from one.
    aside = [key(1, 1), key(1, 9), key(9, 2)]
    keys = [key(1, 2), key(2, 3), *aside]

    order = ordered(monkeypatch, [1, 2, 3], keys)

    assert order == Order([3, 2, 1], keys, [])
    assert order.referring(2) == [keys[0]]
    assert order.referring(1) == [aside[0]]
    assert ordered(monkeypatch, [], []) == Order([], [], [])


def test_a_circle_is_left_to_keys_that_may_be_looked_at_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late, kept = key(1, 2, deferrable=True), key(2, 1)
    assert late.sql == '"s"."k12"'

    assert ordered(monkeypatch, [1, 2], [late, kept]) == Order([1, 2], [late, kept], [late])
    with pytest.raises(JobFailure) as refused:
        ordered(monkeypatch, [1, 2, 3], [key(1, 2), kept, key(3, 1), key(2, 3, deferrable=True)])

    assert str(refused.value) == (
        "foreign keys of the target form a circle (k12 of t1, k21 of t2), so that no order of the "
        "tables keeps them: let one be looked at in the end, ALTER TABLE t1 ALTER CONSTRAINT "
        '"k12" DEFERRABLE'
    )


def test_the_forecasts_of_several_tables_are_one() -> None:
    one, two, three = (TableForecast(name, insert=1) for name in "abc")
    found = [
        Forecast((one,), read=2, notes=("first",)),
        Forecast((two,), read=None, notes=("second", "third"), fails="it would"),
        Forecast((three,), read=5, fails="it would, too"),
    ]

    assert together(found) == Forecast(
        (one, two, three), read=7, notes=("first", "second", "third"), fails="it would"
    )
    assert together(found[:1]).fails is None
