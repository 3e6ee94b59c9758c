"""Rows as JSON."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from headrace.errors import (
    ConfigError,
    HeadraceError,
    IllegalTransition,
    InvalidParams,
    InvalidPayload,
    NotFound,
    ProblemsError,
    QueueUnavailable,
    RefusedSql,
    SchemaMismatch,
    StoreUnavailable,
    TemplateError,
    TooManyRuns,
    UnknownJobClass,
    UnknownPipeline,
)
from headrace.web.error_answers import status_of
from headrace.web.json_rows import page, public, to_json


def test_ids_and_times_become_iso_texts():
    row = {
        "id": UUID(int=1),
        "at": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        "day": date(2026, 1, 2),
        "text": "é",
    }

    assert json.loads(to_json(row)) == {
        "id": "00000000-0000-0000-0000-000000000001",
        "at": "2026-01-02T03:04:05.000006+00:00",
        "day": "2026-01-02",
        "text": "é",
    }


def test_what_json_has_no_form_for_becomes_a_list_or_its_text():
    row = {"all": {1}, "few": (1, 2), "fixed": frozenset({3}), "path": Path("/a")}

    assert to_json(row) == '{"all":[1],"few":[1,2],"fixed":[3],"path":"/a"}'


def test_a_page_that_is_full_and_not_the_last_names_its_last_row():
    answer = page(lambda _before, most: [{"id": n, "plan": {}} for n in range(most)], None, 2)

    assert answer == {"items": [{"id": 0}, {"id": 1}], "next": 1}


def test_a_runs_stored_plan_is_left_out():
    assert public({"id": 1, "plan": {}}) == {"id": 1}


def test_a_page_that_holds_everything_has_no_next():
    answer = page(lambda _before, most: [{"id": n} for n in range(most - 1)], None, 3)

    assert answer == {"items": [{"id": 0}, {"id": 1}, {"id": 2}], "next": None}


def test_a_page_asks_for_what_follows_the_cursor():
    asked: list[tuple[UUID | None, int]] = []

    def read(before: UUID | None, most: int) -> list[dict[str, object]]:
        asked.append((before, most))
        return []

    page(read, str(UUID(int=7)), 2)

    assert asked == [(UUID(int=7), 3)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 404),
        (UnknownPipeline("x"), 404),
        (IllegalTransition("x"), 409),
        (TooManyRuns("x"), 409),
        (InvalidPayload("x"), 422),
        (InvalidParams("x"), 422),
        (UnknownJobClass("x"), 422),
        (TemplateError("x"), 422),
        (RefusedSql("x"), 422),
        (ProblemsError([]), 422),
        (StoreUnavailable("x"), 503),
        (QueueUnavailable("x"), 503),
        (SchemaMismatch("x"), 503),
        (ConfigError("x"), 409),
        (HeadraceError("x"), 409),
    ],
)
def test_each_error_has_its_status(error: HeadraceError, status: int):
    assert status_of(error) == status
