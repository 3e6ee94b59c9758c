"""Which faults `make mutants` makes."""

from pathlib import Path

import pytest

from tests.mutants import unreached
from tests.mutants.python_faults import PythonFaults
from tests.mutants.reaching import STARTED_BY
from tests.mutants.report import Count, equivalents, report
from tests.mutants.sample import Sample
from tests.mutants.sources import ROOT, Sources
from tests.mutants.sql_faults import SqlFaults, is_sql


def made(code: str, operator: str) -> set[str]:
    """Return what an operator makes of a code."""
    kind = SqlFaults if operator.startswith("sql") else PythonFaults
    return {one.applied_to(code) for one in kind("x.py", code) if one.operator == operator}


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("comparison", "a < b", {"a <= b"}),
        ("comparison", "(a) in (b)", {"(a) not in (b)"}),
        ("comparison", "a == b != c", {"a != b != c", "a == b == c"}),
        ("and/or", "a and (b or c)", {"a or (b or c)", "a and (b and c)"}),
        ("not dropped", "x = not a", {"x = a"}),
        ("constant", "x = 5", {"x = 6"}),
        ("constant", "x = True", {"x = False"}),
        ("constant", "'ä' + f(True)", {"'ä' + f(False)", "'XXäXX' + f(True)"}),
        ("key dropped", "x = {1: 2, **y}", {"x = {**y}", "x = {1: 2, }"}),
        ("element dropped", "x = [1, 2, 3]", {"x = [2, 3]", "x = [1, 3]", "x = [1, 2, ]"}),
        ("call dropped", "f(1)", {"pass"}),
        ("argument dropped", "f(1, a=2)", {"f(1, )"}),
        ("arguments swapped", "f(1, 2)", {"f(2, 1)"}),
        ("arguments swapped", "max(1, 2) + min(*a, 1)", set()),
        ("arithmetic", "x = a + b", {"x = a - b"}),
        ("branch dropped", "if a: f()", {"if False: f()"}),
        ("condition dropped", "x = 1 if a else 2", {"x = 1 if True else 2"}),
        ("result emptied", "def f(): return x", {"def f(): return None"}),
        ("result emptied", "def f(): return False", set()),
        ("result emptied", "def f(): return 0", {"def f(): return None"}),
        ("constant", "def f(): return False", {"def f(): return True"}),
        ("loop", "for a in b: break", {"for a in b: continue"}),
        (
            "except dropped",
            "try: f()\nexcept (A, B) as e: g()",
            {"try: f()\nexcept () as e: g()"},
        ),
        ("sql: comparison", "WHERE a = :b", {"WHERE a <> :b"}),
        ("sql: comparison", "WHERE a IS NULL", {"WHERE a IS NOT NULL"}),
        ("sql: predicate dropped", "WHERE a\n  AND b", {"WHERE a\n", "WHERE true\n  AND b"}),
        ("sql: status changed", "'queued'", {"'started'"}),
        ("sql: lock dropped", "x\n FOR UPDATE OF j", {"x"}),
        ("sql: order dropped", "(x ORDER BY y)", {"(x)"}),
        ("sql: order dropped", "-- name: a\n-- why\n ORDER BY y", {"-- name: a\n-- why"}),
        ("sql: and/or", "a AND b -- AND c", {"a OR b -- AND c"}),
    ],
)
def test_each_operator_changes_one_place(operator: str, before: str, after: set[str]) -> None:
    assert made(before, operator) == after


@pytest.mark.parametrize(
    "code",
    ['"""One."""', "from a import b", "x: int | str", "__all__ = ['a']", "assert a < 1", "f''"],
)
def test_nothing_is_changed_that_nobody_could_see(code: str) -> None:
    assert list(PythonFaults("x.py", code)) == []


def test_a_dropped_except_is_reached_by_who_takes_the_branch() -> None:
    code = "def f():\n  try:\n    g()\n  except A:\n    h()"
    (fault,) = (one for one in PythonFaults("x.py", code) if one.operator == "except dropped")
    assert (fault.line, fault.mark, fault.inside) == (4, 5, True)


def test_a_fault_is_known_by_its_function_or_statement() -> None:
    code = "class A:\n  def f(self):\n    if a:\n      g(5)\n\n  x = 5\n"
    faults = [one for one in PythonFaults("x.py", code) if one.operator == "constant"]
    assert [one.where(code) for one in faults] == ["f", ""]
    sql = "-- name: one\nSELECT\n-- name: two\nWHERE true"
    assert {one.where(sql) for one in SqlFaults("x.sql", sql)} == {"two"}


def test_a_statement_that_is_no_sql_any_more_is_not_tried() -> None:
    text = "-- name: one\nUPDATE a SET b = :c WHERE d = 1\n"
    assert is_sql(text.replace("d =", "d <>"), {}, "one")
    assert not is_sql(text.replace("b =", "b <>"), {}, "one")


def test_a_seed_draws_the_same_faults_each_time_and_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "runner").mkdir()
    lines = "\n".join(f"def f{n}(a): return a < {n} and a" for n in range(30))
    (tmp_path / "runner" / "web.py").write_text(lines)
    (tmp_path / "runner" / "plan.py").write_text(lines)
    sources = Sources(tmp_path)

    drawn = Sample(sources, 7, ()).draw(20)

    assert drawn == Sample(sources, 7, ()).draw(20)
    assert drawn != Sample(sources, 8, ()).draw(20)
    assert len({(one.path, one.line) for one in drawn}) == 20
    assert sum(one.path == "runner/web.py" for one in drawn) == 10
    assert {one.path for one in Sample(sources, 7, ["plan"]).draw(9)} == {"runner/plan.py"}
    kinds = ["and/or", "result emptied"]
    assert {one.operator for one in Sample(sources, 7, (), None, kinds).draw(20)} == {*kinds}
    with pytest.raises(SystemExit, match="no such rooms: webb"):
        Sample(sources, 7, ["webb"])
    with pytest.raises(SystemExit, match="no such operators: or; and/or, comparison, constant, "):
        Sample(sources, 7, (), None, ["or"])


def test_every_equivalent_fault_can_still_be_made_and_has_a_reason() -> None:
    sources = Sources(ROOT)
    for (path, where, operator, before, after), reason in equivalents().items():
        kind = PythonFaults if path.endswith(".py") else SqlFaults
        text = sources.text(path)
        faults = [one for one in kind(path, text) if one.operator == operator]
        made = [(one.where(text), *one.shown(text)) for one in faults]
        assert (where, before, after) in made, (path, before)
        assert len(reason.split()) > 3, (path, before)


def test_every_line_that_has_a_reason_not_to_be_executed_is_there() -> None:
    sources = Sources(ROOT)
    for path, lines in unreached.reasons().items():
        there = {line.strip() for line in sources.text(path).splitlines()} | {"*"}
        assert not lines.keys() - there, path
        assert all(len(reason.split()) > 3 for reason in lines.values()), path


def test_programs_of_their_own_and_who_starts_them_are_there() -> None:
    assert {*STARTED_BY, *STARTED_BY.values()} <= set(Sources(ROOT).paths)


def test_lines_without_a_reason_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"runner/x.py": {"return 1": "no input leads there"}, "runner/y.py": {"*": "never"}}
    monkeypatch.setattr(unreached, "reasons", lambda: known)
    texts = dict.fromkeys(("runner/x.py", "runner/y.py", "runner/z.py"), "if a:\n    return 1\nb\n")
    found = {path: [2, 3] for path in texts}

    left = unreached.without_reason(found, texts)

    assert left == {"runner/x.py": [3], "runner/z.py": [2, 3]}


def test_the_report_counts_by_room_and_names_what_was_not_noticed() -> None:
    row = {"operator": "loop", "before": "a", "after": "b", "line": 7, "by": "t", "ran": 1, "of": 2}
    row |= {"where": "f"}
    rows = [
        {**row, "path": "runner/web/x.py", "verdict": "killed"},
        {**row, "path": "runner/web/x.py", "verdict": "unfinished"},
        {**row, "path": "jobs/x.py", "verdict": "unreached"},
    ]

    text = report(rows, 5, "abc", ["tests"])

    assert "3 faults, 0 equivalent, 1 of 3 killed (33%; 95 % interval 6% to 79%)" in text
    assert "| web | 1 | 2 | 50% |" in text
    assert "- runner/web/x.py:7 (loop; 1 of 2 tests passed in the time given): `a` → `b`" in text
    assert "- jobs/x.py:7 (loop; no test executes it)" in text
    assert Count(67, 81).interval == pytest.approx((0.73, 0.89), abs=0.01)
