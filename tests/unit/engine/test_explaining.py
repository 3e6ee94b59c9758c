"""What `validate --explain` makes of a database's answers, which are given here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.explain import explain
from headrace.engine.explain.explain import Explained, Explaining
from headrace.errors import ConfigError, StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.store.explain import Estimate, Fault

Explain = Callable[..., Explained]
FINE = Estimate(cost=1.0, rows=1)
NO_TABLE = Fault("42P01", "undefined-table", 'relation "s.t" does not exist')
NO_COLUMN = Fault("42703", "undefined-column", 'column "n" does not exist', "perhaps m", 1, "n")
NO_SCHEMA = Fault("3F000", "invalid-schema-name", 'schema "s" does not exist')
NO_FUNCTION = Fault("42883", "undefined-function", "function s.f(integer) does not exist")
NO_TYPE = Fault("42704", "undefined-object", 'type "s.kind" does not exist')
CONNECTIONS = {
    "dwh": NamedConnection("postgresql://dwh/dwh"),
    "till": NamedConnection("sqlite:////till.db"),
}


def settings_of(folder: Path) -> Settings:
    (folder / "pipelines").mkdir(exist_ok=True)
    return Settings(folder, folder, folder / "pipelines", connections=CONNECTIONS)


def written(folder: Path, steps: str, head: str = "") -> None:
    (folder / "pipelines" / "p.yaml").write_text(f"name: p\n{head}steps:\n{steps}")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture
def explained(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explain:
    """Explains a pipeline's steps; `answers` go by a word of the statement."""
    settings = settings_of(tmp_path)

    def explained(
        steps: str,
        answers: Mapping[str, Fault | Estimate] | Exception,
        params: Mapping[str, Any] | None = None,
        head: str = "",
    ) -> Explained:
        class Answering:
            def __init__(self, _url: str) -> None:
                if isinstance(answers, Exception):
                    raise answers

            def explain(self, texts: list[str], _values: list[Any]) -> Fault | Estimate:
                assert not isinstance(answers, Exception)
                sent = "?".join(texts)
                return next((found for word, found in answers.items() if word in sent), FINE)

            def close(self) -> None:
                pass

        monkeypatch.setattr(explain, "Explainer", Answering)
        written(tmp_path, steps, head)
        explaining = Explaining(settings, registry, lambda: "postgresql://control/etl")
        explaining.pipeline(Pipelines(settings, registry).get("p"), params or {})
        explaining.close()
        return explaining.found

    return explained


def step(name: str, sql: str, more: str = "", connection: str = "") -> str:
    named = f", connection: {connection}" if connection else ""
    return f"- {{id: {name}, job: RunSql{more}, with: {{sql: '{sql}'{named}}}}}\n"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("57014", "query-canceled", "stopped"), "it took longer than 5 s to plan"),
        (Fault("55P03", "lock-not-available", "busy"), "a lock on its table was not free"),
        (Fault("42P07", "duplicate-table", "there already"), "there already"),
    ],
)
def test_what_hinders_the_look_alone_is_no_mistake_of_the_statement(
    explained: Explain, fault: Fault, told: str
):
    found = explained(step("a", "select 1 from s.t"), {"s.t": fault})

    assert [(one.outcome, one.told) for one in found.looked] == [("skipped", told)]
    assert found.problems == []


@pytest.mark.parametrize(
    ("maker", "fault"),
    [
        ("create table s.t (n int)", NO_TABLE),
        ("create table t (n int)", NO_TABLE),
        ("alter table s.t add column n int", NO_COLUMN),
        ("create schema s", NO_SCHEMA),
        ("create function s.f(n int) returns int language sql return n", NO_FUNCTION),
        ("create type s.kind as enum ()", NO_TYPE),
        ("do $$ begin execute ''create table s.t ()''; end $$", NO_TABLE),
        ("call makes_s_and(''s.t'')", NO_TABLE),
        ("CALL MAKES_S_AND(''S.T'')", NO_TABLE),
    ],
)
def test_what_an_earlier_step_or_statement_makes_is_missing_only_before_the_run(
    explained: Explain, maker: str, fault: Fault
):
    maker = maker.replace("$$", "$x$")
    used = "select n from s.t /* asks */"
    upstream = explained(
        step("made", maker) + step("used", used, ", depends_on: [made]"), {"asks": fault}
    )
    (problem,) = upstream.problems
    assert (problem.severity, problem.code) == ("note", fault.code)
    assert problem.message.endswith(f'{fault.message} yet; step "made" makes it')
    assert [one.outcome for one in upstream.looked][-1] == "noted"

    beside = explained(step("made", maker) + step("used", used), {"asks": fault})
    (problem,) = beside.problems
    assert (problem.severity, problem.message) == ("error", f'step "used": {fault.message}')
    hint = 'step "made" creates it: depends_on: [made]'
    assert problem.hint == (fault.hint or hint)

    same = explained(step("one", f"{maker}; {used}"), {"asks": fault})
    (problem,) = same.problems
    assert problem.message.endswith('yet; an earlier statement of step "one" creates it')


@pytest.mark.parametrize(
    ("maker", "connection", "fault"),
    [
        ("create table other.t (n int)", "", NO_TABLE),
        ("create table s.t2 (n int)", "", NO_TABLE),
        ("select s, t from x", "", NO_TABLE),
        ("create table s.t (n int)", "dwh", NO_TABLE),
        ("do $x$ begin perform 1; end $x$", "", NO_TABLE),
        ("create table s.t (n int)", "", Fault("42501", "insufficient-privilege", 'of "s.t"')),
    ],
)
def test_what_no_step_makes_there_is_a_mistake(
    explained: Explain, maker: str, connection: str, fault: Fault
):
    found = explained(
        step("made", maker, connection=connection)
        + step("used", "select n from s.t /* asks */", ", depends_on: [made]"),
        {"asks": fault},
    )

    (problem,) = found.problems
    assert (problem.severity, problem.message, problem.hint) == (
        "error",
        f'step "used": {fault.message}',
        "",
    )


def test_a_step_below_the_one_that_misses_a_table_is_no_remedy(explained: Explain):
    found = explained(
        step("used", "select n from s.t /* asks */")
        + step("made", "create table s.t (n int)", ", depends_on: [used]"),
        {"asks": NO_TABLE},
    )
    assert [(one.severity, one.hint) for one in found.problems] == [("error", "")]


def test_a_handler_finds_what_any_step_makes_and_no_step_what_a_handler_makes(explained: Explain):
    handlers = "handlers:\n  failure:\n  " + step("told", "select n from s.t /* asks */")
    found = explained(step("made", "create table s.t (n int)"), {"asks": NO_TABLE}, head=handlers)
    assert [one.severity for one in found.problems] == ["note"]

    handlers = "handlers:\n  failure:\n  " + step("made", "create table s.t (n int)")
    found = explained(
        step("used", "select n from s.t /* asks */"), {"asks": NO_TABLE}, head=handlers
    )
    assert [one.severity for one in found.problems] == ["error"]


def test_what_another_handler_makes_is_there_for_none(explained: Explain):
    made = step("made", "create table s.t (n int)")
    used = step("used", "select n from s.t /* asks */")
    handlers = f"handlers:\n  failure:\n  {made}  finally:\n  {used}"
    found = explained(step("a", "select 1"), {"asks": NO_TABLE}, head=handlers)
    # No handler can wait for another one: there is nothing to advise.
    assert [(one.severity, one.hint) for one in found.problems] == [("error", "")]


@pytest.mark.parametrize(
    ("connection", "failing", "name", "told"),
    [
        ("till", ConfigError("-"), "till", "it is SQLite, whose statements are not looked at"),
        ("gone", ConfigError("-"), "gone", 'no connection is named "gone"'),
        ("dwh", StoreUnavailable("it is down"), "dwh", "it is down"),
        ("dwh", ConfigError("no URL"), "dwh", "no URL"),
        ("", StoreUnavailable("it is down"), "the control database", "it is down"),
    ],
)
def test_a_database_that_is_not_asked_is_told_once_with_its_reason(
    explained: Explain, connection: str, failing: Exception, name: str, told: str
):
    where = ', connection: "{{ params.c }}"' if connection else ""
    steps = "".join(
        f"- {{id: {one}, job: RunSql, with: {{sql: select 1{where}}}}}\n" for one in ("a", "b")
    )
    head = "params: {c: {required: true}}\n" if connection else ""
    found = explained(steps, failing, {"c": connection, "other": 1}, head)

    assert found.unreachable.keys() == {name}
    assert found.unreachable[name].startswith(told)
    assert {one.told for one in found.looked} == {"its database does not answer"}
    assert len(found.looked) == 2


def test_each_database_is_connected_to_once_and_closed_at_the_end(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    closed: list[str] = []

    class Connected:
        def __init__(self, url: str) -> None:
            self.url = url
            opened.append(url)

        def close(self) -> None:
            closed.append(self.url)

    monkeypatch.setattr(explain, "Explainer", Connected)
    explaining = Explaining(settings_of(tmp_path), registry, lambda: "postgresql://control/etl")
    first = [explaining.explainer(name) for name in ("dwh", None, "till", "dwh", None)]

    assert first[0] is first[3] is not None
    assert first[1] is first[4] is not None
    assert first[2] is None
    assert opened == ["postgresql://dwh/dwh", "postgresql://control/etl"]
    explaining.close()
    assert sorted(closed) == sorted(opened)


def test_a_large_scan_is_told_at_its_statement_unless_a_comment_says_that_it_is_meant(
    explained: Explain,
):
    scan = {"s.t": Estimate(cost=9.0, rows=2, scans=("s.t",))}
    found = explained(step("a", "select 1 from s.t"), scan)
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("warning", "seq-scan")
    assert problem.message == 'step "a": reads all of s.t, over 100,000 rows, and keeps few of them'
    assert [(one.outcome, one.cost, one.rows) for one in found.looked] == [("explained", 9.0, 2)]

    meant = step("a", "select 1 from s.t").replace("\n", " # headrace: ignore[seq-scan] meant\n")
    assert explained(meant, scan).problems == []


def test_a_comment_silences_nothing_in_another_file(explained: Explain, tmp_path: Path):
    settings_of(tmp_path)
    (tmp_path / "pipelines" / "q.sql").write_text("\nselect 1 from s.t\n")
    # The line of the comment has the number that the statement's has in its own file.
    head = "# headrace: ignore[seq-scan] meant\n"
    found = explained(
        "- {id: a, job: RunSql, with: {sql_path: q.sql}}\n",
        {"s.t": Estimate(cost=9.0, rows=2, scans=("s.t",))},
        head=head,
    )
    (problem,) = found.problems
    assert (Path(problem.file).name, problem.line) == ("q.sql", 2)


def test_a_statement_that_the_items_of_a_foreach_share_is_looked_at_once(explained: Explain):
    shared = "select 1"
    more = ", foreach: {items: [1, 2, 3], as: i}"
    found = explained(
        step("a", shared, more) + step("b", shared) + step("c", shared, connection="dwh")
        + f"- {{id: d, job: RunSql{more}, with: {{sql: 'select {{{{ params.n }}}}',"
        " params: {n: '{{ i }}'}}}\n",
        {},
    )  # fmt: skip
    assert [one.step for one in found.looked] == ["a[0]", "b", "c", "d[0]"]


def test_what_keeps_a_step_from_running_is_a_problem_at_its_key(explained: Explain):
    found = explained(
        "- {id: a, job: RunSql, with: {sql_path: '{{ params.file }}'}}\n" + step("b", "select 1"),
        {},
        {"file": "gone.sql"},
        "params: {file: {required: true}}\n",
    )

    (problem,) = found.problems
    assert problem.message.startswith("step \"a\": there is no file 'gone.sql' beside the pipeline")
    assert (problem.severity, problem.code) == ("error", "bad-sql")
    assert (problem.line, problem.column) == (4, 41)
    failed, explained_one = found.looked
    assert (failed.step, failed.number, failed.outcome) == ("a", 0, "failed")
    assert f'step "a": {failed.told}' == problem.message
    assert (failed.file, failed.line, failed.column) == (problem.file, 4, 41)
    assert (explained_one.step, explained_one.outcome) == ("b", "explained")


def test_sql_whose_file_only_a_run_knows_is_skipped(explained: Explain):
    found = explained(
        step("a", "select 1 as n") + "- {id: b, job: RunSql, depends_on: [a],"
        " with: {sql_path: '{{ steps.a.result.rows[0].n }}.sql'}}\n",
        {},
    )

    assert found.problems == []
    skipped = found.looked[1]
    assert (skipped.step, skipped.number, skipped.outcome) == ("b", 0, "skipped")
    assert skipped.told == "its SQL is known when the step starts"
    assert (skipped.line, skipped.column) == (4, 58)


def test_a_pipeline_that_cannot_be_planned_with_the_values_given_is_told(explained: Explain):
    found = explained(
        step("a", "select 1") + "- {id: b, job: Fibonacci, with: {n: '{{ 1 // params.n }}'}}\n",
        {},
        {"n": "0"},
        "params: {n: {type: integer, required: true}}\n",
    )

    (problem,) = found.problems
    assert Path(problem.file).name == "p.yaml"
    assert (problem.line, problem.column, problem.severity) == (1, 1, "error")
    assert problem.message == (
        'step "b", with.n: value: ZeroDivisionError: integer division or modulo by zero'
    )
    assert found.looked == []


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        *(
            (sql, "")
            for sql in (
                "select 1",
                "with x as (select 1) select 2",
                "values (1)",
                "table s.t",
                "insert into t values (1)",
                "update t set n = 1",
                "delete from t",
                "merge into t using u on t.n = u.n when matched then delete",
                "create table t as select 1",
            )
        ),
        ("create index i on t (n)", "EXPLAIN does not take CREATE"),
        ("truncate t", "EXPLAIN does not take TRUNCATE"),
        ("do $x$ begin end $x$", "EXPLAIN does not take DO"),
    ],
)
def test_what_explain_takes_is_explained_and_the_rest_is_told(
    explained: Explain, sql: str, told: str
):
    (looked,) = explained(step("a", sql), {}).looked
    assert (looked.outcome, looked.told) == ("skipped" if told else "explained", told)
