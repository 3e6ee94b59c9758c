"""What `plan --diff` gives of a pipeline as it runs and as it is on disk, whole."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import plan_diff

AT = datetime(2026, 7, 1, tzinfo=UTC)
RUNNING = SimpleNamespace(version="a" * 40, file="p.yaml", loaded_at=AT)
CHANGE = SimpleNamespace(
    kind="changed", path=("timeout",), old=1, new=2, subject="timeout", text_lines=lambda: None
)


def _compared(version: str) -> Any:
    there: Any = SimpleNamespace(version=version, file="p.yaml")
    return plan_diff._Compared("p", RUNNING, there)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "places", "verdict"),
    [([], [], "same"), ([CHANGE], [SimpleNamespace(line=3, column=5)], "different")],
)
def test_a_program_gets_both_versions_and_each_change_with_its_place(
    changes: list[Any], places: list[Any], verdict: str
):
    told = plan_diff._as_json(_compared("b" * 40), changes, places, None)

    assert told == {
        "pipeline": "p",
        "verdict": verdict,
        "running": {"version": "a" * 40, "file": "p.yaml", "loaded_at": AT},
        "on_disk": {"version": "b" * 40, "file": "p.yaml"},
        "changes": [
            {"kind": "changed", "path": ["timeout"], "old": 1, "new": 2, "line": 3, "column": 5}
            for _ in changes
        ],
        "next_instants": None,
        "problems": [],
    }


def test_a_change_without_a_place_has_none_and_instants_are_given_before_and_after():
    row = SimpleNamespace(as_json=lambda: {"at": "x"})

    told = plan_diff._as_json(_compared("b"), [CHANGE], [None], ([row], []))  # type: ignore[list-item]

    assert [(one["line"], one["column"]) for one in told["changes"]] == [(None, None)]
    assert told["next_instants"] == {"before": [{"at": "x"}], "after": []}


def test_a_person_gets_them_line_by_line(capsys: pytest.CaptureFixture[str]):
    fires: Any = (["2026-07-02 06:00", "2026-07-03 06:00"], [])

    plan_diff._print(_compared("b"), [CHANGE], [SimpleNamespace(line=3, column=5)], fires)  # type: ignore[list-item]

    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("p: 1 difference from what the daemon runs (version aaaaaaaaaaaa, ")
    assert others == [
        "~ p.yaml:3:5: timeout 1 → 2",
        "",
        "next fire times before",
        "  2026-07-02 06:00",
        "  2026-07-03 06:00",
        "",
        "next fire times after",
        "  none, starts manually",
    ]


def test_without_a_change_of_the_schedule_no_instants_are_told(capsys: pytest.CaptureFixture[str]):
    plan_diff._print(_compared("b"), [CHANGE], [None], None)  # type: ignore[list-item]

    assert capsys.readouterr().out.splitlines()[1:] == ["~ p.yaml: timeout 1 → 2"]
    assert plan_diff._fire_times(_compared("b"), [CHANGE]) is None  # type: ignore[list-item]
