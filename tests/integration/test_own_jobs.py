"""A project's own job classes that build on built-in ones, on the way that a user takes."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.support.cli import Headrace

pytestmark = pytest.mark.timeout(240)

JOBS = '''
from datetime import date, timedelta
from decimal import Decimal

from jobs.base import BaseJob
from jobs.load_file import LoadFile


class LoadOrders(LoadFile):
    """Load a region's orders.

    Parameters:
        region: where the orders come from.
    """

    def __init__(self, region: str, **kwargs):
        super().__init__(path="data/orders.csv", create=True, **kwargs)
        self.region = region


class LoadFixed(LoadFile):
    path = "data/orders.csv"
    create = True

    def handle(self):
        return {**super().handle(), "source": self.path}


class Daily(BaseJob):
    def __init__(self, day: date, wait: timedelta, price: Decimal, **kwargs):
        super().__init__(**kwargs)
        self.given = [repr(day), repr(wait), repr(price)]

    def handle(self):
        return self.given


class Broken(LoadFile):
    def __init__(self, **kwargs):
        options = {"mode": "replace"}
        super().__init__(**options, **kwargs)


class Vain(BaseJob):
    """Fails where its statements are asked for."""

    def preview(self):
        return [{}["no such statement"]]


class Late(BaseJob):
    """Its constructor does not take what only a run knows."""

    def __init__(self, rows: list, **kwargs):
        super().__init__(**kwargs)
        self.first = rows[0]["id"] + 1

    def handle(self):
        return self.first
'''
TABLES = '''
from jobs.base import BaseJob
from jobs.load_file import LoadFile
from jobs.own import LoadOrders


class LoadEurope(LoadOrders):
    def __init__(self, **kwargs):
        super().__init__("eu", **kwargs)


class Refresh(BaseJob):
    """Refresh the totals."""

    tables_read = ("staging.orders",)
    tables_written = tables_made = ("mart.totals",)


class LoadStaging(LoadFile):
    table = "staging.orders"
'''
GOOD = """
name: good
params:
  day: {type: date, default: 2025-01-31}
steps:
  - {id: orders, job: LoadOrders, with: {region: eu, table: orders}}
  - {id: europe, job: LoadEurope, with: {table: europe}}
  - {id: fixed, job: LoadFixed, with: {table: fixed}}
  - {id: daily, job: Daily, with: {day: "{{ params.day }}", wait: 5m, price: 1234567890123.4567891}}
"""
BAD = """
name: bad
steps:
  - {id: missing, job: LoadOrders, with: {table: orders}}
  - {id: given, job: LoadOrders, with: {region: eu, table: orders, path: x.csv}}
  - {id: part, job: LoadFixed, with: {table: orders, columns: {id: 5}}}
  - {id: mistyped, job: LoadFixed, with: {tabel: orders}}
  - {id: typed, job: Daily, with: {day: 31st, wait: 300, price: "1,5"}}
"""
REFUSED = """
name: refused
steps:
  - {id: a, job: Broken, with: {table: orders}}
"""
VAIN = """
name: vain
steps:
  - {id: vain, job: Vain}
  - {id: fine, job: RunSql, with: {sql: SELECT 42 AS told}}
"""
UNORDERED = """
name: unordered
steps:
  - {id: load, job: LoadStaging, with: {path: data/orders.csv}}
  - {id: refresh, job: Refresh}
  - {id: clear, job: TruncateTable, with: {table: mart.totals}}
  - {id: elsewhere, job: LoadStaging, with: {path: data/orders.csv, table: staging.other}}
"""
LATE = """
name: late
steps:
  - {id: rows, job: RunSql, with: {sql: "SELECT 'x' AS id"}}
  - id: late
    job: Late
    depends_on: [rows]
    retry: {limit: 3, delay: 1s}
    with: {rows: "{{ steps.rows.result.rows }}"}
"""
PARAMETER = 'the parameter "%s" of'
COLUMNS = "a list of text or a mapping to text or to a mapping to text"


@pytest.fixture
def headrace(tmp_path: Path) -> Headrace:
    for folder in ("jobs", "pipelines", "pipelines/data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "jobs" / "own.py").write_text(JOBS)
    (tmp_path / "jobs" / "own_tables.py").write_text(TABLES)
    (tmp_path / "pipelines/data/orders.csv").write_text("id,amount\n1,5\n2,7\n")
    files = {
        "good": GOOD,
        "bad": BAD,
        "refused": REFUSED,
        "unordered": UNORDERED,
        "late": LATE,
        "vain": VAIN,
    }
    for name, text in files.items():
        (tmp_path / "pipelines" / f"{name}.yaml").write_text(text.lstrip())
    return Headrace(tmp_path, {})


def test_a_job_that_builds_on_a_built_in_one_runs_from_yaml(headrace: Headrace) -> None:
    told = headrace("validate", "pipelines/good.yaml")
    assert told.code == 0, told.out + told.err

    ran = headrace("run", "good", "--json", timeout=150)

    assert ran.code == 0, ran.out + ran.err
    results = {job["step"]: job["result"] for job in ran.json["jobs"]}
    assert results == {
        "orders": {"row_count": 2, "table": "orders", "files": 1},
        "europe": {"row_count": 2, "table": "europe", "files": 1},
        "fixed": {"row_count": 2, "table": "fixed", "files": 1, "source": "data/orders.csv"},
        "daily": [
            "datetime.date(2025, 1, 31)",
            "datetime.timedelta(seconds=300)",
            "Decimal('1234567890123.4567891')",
        ],
    }


def test_what_such_a_job_misses_is_told_with_its_place(headrace: Headrace) -> None:
    told = headrace("validate", "pipelines/bad.yaml")

    assert told.code == 1
    place = re.compile(r'pipelines/bad\.yaml:(\d+:\d+): step "\w+": (.*)')
    assert place.findall(told.out + told.err) == [
        ("3:36", 'LoadOrders needs the parameter "region" [missing-parameter]'),
        ("4:68", 'LoadOrders has no parameter "path" [unknown-parameter]'),
        ("5:68", f"{PARAMETER % 'columns'} LoadFixed takes {COLUMNS} [wrong-type]"),
        ("6:36", 'LoadFixed needs the parameter "table" [missing-parameter]'),
        ("6:43", 'LoadFixed has no parameter "tabel" [unknown-parameter]'),
        ("7:41", f"{PARAMETER % 'day'} Daily takes a date as in 2025-01-31 [wrong-type]"),
        ("7:53", f"{PARAMETER % 'wait'} Daily takes a duration as in 5m [wrong-type]"),
        ("7:65", f"{PARAMETER % 'price'} Daily takes a number [wrong-type]"),
    ]
    assert 'did you mean "table"?' in told.out + told.err


def test_what_its_constructor_raises_is_told_before_a_run(headrace: Headrace) -> None:
    told = headrace("validate", "pipelines/refused.yaml")

    assert told.code == 1
    assert 'pipelines/refused.yaml:3:32: step "a":' in told.out + told.err
    assert "missing 1 required positional argument: 'path'" in told.out + told.err


def test_what_its_preview_raises_is_a_remark_at_its_step_and_hides_no_other(
    headrace: Headrace,
) -> None:
    told = headrace("plan", "vain")

    assert told.code == 0, told.err
    assert told.out.count("KeyError: 'no such statement'") == 1
    before, _, after = told.out.partition("KeyError")
    assert "vain" in before.splitlines()[-2]
    assert "SELECT 42 AS told" in after


def test_editors_complete_its_parameters(headrace: Headrace) -> None:
    told = headrace("schema")
    assert told.code == 0, told.err
    schema = json.loads(told.out)

    orders = schema["$defs"]["with_LoadOrders"]
    assert orders["required"] == ["region", "table"]
    assert "path" not in orders["properties"]
    assert orders["properties"]["region"]["description"] == "Where the orders come from."
    assert schema["$defs"]["with_LoadFixed"]["properties"]["path"]["default"] == "data/orders.csv"
    validator = Draft202012Validator(schema)

    def fits(with_: dict[str, object]) -> bool:
        step = {"id": "a", "job": "Daily", "with": with_}
        return validator.is_valid({"name": "x", "steps": [step]})

    day = {"day": "{{ params.day }}", "wait": "5m", "price": 1.5}
    assert fits(day)
    assert fits({**day, "wait": "{{ params.wait }}", "price": "1.50"})
    assert not fits({**day, "wait": 300})
    assert not fits({**day, "price": "1,5"})


def test_a_type_error_of_a_constructor_is_not_tried_again(headrace: Headrace) -> None:
    ran = headrace("run", "late", "--json", timeout=150)

    assert ran.code == 1, ran.out + ran.err
    [late] = [job for job in ran.json["jobs"] if job["step"] == "late"]
    assert (late["status"], late["attempt"], late["retry_count"]) == ("failed", 1, 0)
    assert "Late does not accept its arguments: TypeError" in late["error"]


def test_what_it_says_of_its_tables_counts_in_the_warnings(headrace: Headrace) -> None:
    told = headrace("validate", "pipelines/unordered.yaml")

    assert told.code == 0, told.out + told.err
    warnings = re.findall(r"steps? .* \[[a-z-]+\]", told.out + told.err)
    read, written = sorted(warnings)
    assert read.startswith('step "refresh" reads staging.orders, which step "load" writes before')
    assert written.startswith('steps "refresh" and "clear" both write mart.totals, in ')
