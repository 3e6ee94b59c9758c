"""The splitter against PostgreSQL's own parser, on generated SQL."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.errors import RefusedSql
from headrace.template import refuse_transaction_control, split_statements
from tests.support.generated import budget

pglast = pytest.importorskip("pglast")

NAMES = st.sampled_from(
    ["a", "begin", "atomic", "commit", "case", '"end"', '";"', '"a"";"', "rollback", "é", "x$y$"]
)
LABELS = st.one_of(NAMES, st.sampled_from(["end", "case", "select", "when", "function"]))
TEXTS = st.sampled_from(
    ["'a'", "';'", "''", "'it''s;'", r"'\'", r"E'\';'", r"E'\\'", "$$;$$",
     "$a$ $$ ; $a$", "U&'\\0027'",
     "'a'\n'b;'", "E'a'\n'\\';'", "$b$ COMMIT; $b$", "B'01'", "n';'"]
)  # fmt: skip
SPACES = st.sampled_from(
    [
        " ",
        "\n",
        " -- ;\n",
        " /* ; */ ",
        " /* /* ; */ ' */ ",
        " --'\r",
        "\t",
        "/**/",
        " /*/ ; */*/ */ ",
    ]
)
VALUES = st.one_of(TEXTS, st.sampled_from(["1", "1.5", "(1)", "a.b", "case when a then b end"]))


@st.composite
def selects(draw: st.DrawFn) -> list[str]:
    words = ["select", draw(VALUES)]
    if draw(st.booleans()):
        words += ["as", draw(LABELS)]
    if draw(st.booleans()):
        words += [",", draw(VALUES), "as", draw(LABELS)]
    if draw(st.booleans()):
        words += ["from", draw(NAMES)]
    return words


@st.composite
def routines(draw: st.DrawFn) -> list[str]:
    kind = draw(st.sampled_from(["function", "procedure"]))
    words = ["create", *draw(st.sampled_from([[], ["or", "replace"]])), kind, "f", "("]
    words += draw(st.sampled_from([[], ["begin", "atomic"], ["case_", "int"], ["a", "begin"]]))
    words.append(")")
    if kind == "function":
        words += ["returns", draw(st.sampled_from(["int", "begin", "atomic"]))]
    words += draw(st.sampled_from([[], ["language", "sql"], ["strict"]]))
    if draw(st.booleans()):
        return [*words, "as", draw(TEXTS)]
    words += ["begin", "atomic"]
    for _ in range(draw(st.integers(0, 3))):
        words += [*draw(st.one_of(selects(), routines(), st.just(["return", "1"]))), ";"]
    return [*words, "end"]


OTHERS = st.sampled_from(
    [
        "commit", "begin", "end", "rollback", "prepare transaction 'x'", "do $$ begin; end $$",
        "create rule r as on delete to t do also (select 1; select 2)", "savepoint begin",
        "create table t (begin int, atomic text default ';')", "call f(1)",
        "insert into t values (';')", "set a = begin", "declare c cursor for select 1",
    ]
).map(str.split)  # fmt: skip
STATEMENTS = st.one_of(selects(), routines(), OTHERS)


@st.composite
def scripts(draw: st.DrawFn) -> str:
    text = ""
    for words in draw(st.lists(STATEMENTS, max_size=5)):
        for word in words:
            text += draw(st.one_of(st.just(" "), SPACES)) + word
        text += draw(st.sampled_from([";", " ;", ";;", "; /* ; */ ;", "\n;\n"]))
    return text + draw(st.sampled_from(["", " ", "-- end", "/* ; */"]))


def by_postgresql(sql: str) -> list[str] | None:
    """Return the statements as PostgreSQL's parser finds them; None where it refuses the text."""
    try:
        raw = pglast.parser.parse_sql(sql)
    except pglast.parser.ParseError:
        return None
    found = []
    for one in raw:
        begin, length = one.stmt_location, one.stmt_len
        found.append(sql[begin : begin + length if length else None])
    return found


def bare(sql: str) -> list[str]:
    """Return a statement's tokens, in which neither space nor comments count."""
    return [
        sql[one.start : one.end + 1] for one in pglast.parser.scan(sql) if "COMMENT" not in one.name
    ]


@budget(200)
@given(scripts())
@example("create function f(begin atomic) returns int language sql as 'x'; commit; select 1")
@example("create function f() returns int begin atomic select 1 as case; end; commit")
@example("select 1 /*/ ; */*/ */; commit")
def test_a_script_is_split_where_postgresqls_own_parser_splits_it(sql: str) -> None:
    expected = by_postgresql(sql)
    if expected is None:
        return

    assert [bare(one) for one in split_statements(sql)] == [bare(one) for one in expected]


PIECES = st.sampled_from(
    ["'", "''", '"', "E'", "U&'", "$$", "$a$", "\\", "/*", "*/", "--", "\n", "\r", ";", "(",
     ")", "[",
     "commit", "end", "begin", "atomic", "case", "create", "function", "f()", "select", "1", "a",
     " ", " ", "$1", "é", "\ufeff", "\u00a0", "\x0b", "::", ":=", "e", "n'", "x'", "0x", "1e",
     ".5", "end;"]
)  # fmt: skip


@budget(800)
@given(st.lists(PIECES, max_size=25).map("".join))
@example("select 1 -- \x0b'\n;commit")
def test_what_postgresqls_own_parser_takes_for_a_commit_is_refused(sql: str) -> None:
    """Whatever the text: where the server would run a COMMIT, ours finds it or splits elsewhere.

    What is split elsewhere stops at the server, to which each piece has to be one statement.
    """
    expected = by_postgresql(sql)
    if expected is None or not any(bare(one)[:1] in (["commit"], ["end"]) for one in expected):
        return
    try:
        refuse_transaction_control(sql)
    except RefusedSql:
        return
    pieces = split_statements(sql)
    read = [by_postgresql(piece) for piece in pieces]
    assert any(one is None or len(one) > 1 for one in read), pieces
