import pytest

from headrace.errors import RefusedSql
from headrace.template import (
    first_word,
    leaves_session_state,
    needs_autocommit,
    refuse_transaction_control,
    split_statements,
)
from headrace.template.lexer import tokens


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        (" ;; -- nothing\n ; /* ; */", []),
        ("SELECT ';'", ["SELECT ';'"]),
        ("SELECT 'it''s; fine'; SELECT 2", ["SELECT 'it''s; fine'", "SELECT 2"]),
        (r"SELECT E'\';'; SELECT 2", [r"SELECT E'\';'", "SELECT 2"]),
        (r"SELECT '\'; SELECT 2", [r"SELECT '\'", "SELECT 2"]),
        ('SELECT ";"; SELECT 2', ['SELECT ";"', "SELECT 2"]),
        ("DO $$ BEGIN; END $$; SELECT 2", ["DO $$ BEGIN; END $$", "SELECT 2"]),
        ("SELECT $a$ $$ ; $a$; SELECT 2", ["SELECT $a$ $$ ; $a$", "SELECT 2"]),
        ("SELECT a$$b; SELECT 2", ["SELECT a$$b", "SELECT 2"]),
        ("SELECT 1 /* ; /* ; */ ; */; SELECT 2", ["SELECT 1 /* ; /* ; */ ; */", "SELECT 2"]),
        ("SELECT 1 -- ; '\n; SELECT 2", ["SELECT 1 -- ; '", "SELECT 2"]),
        (
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
            ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"],
        ),
        (
            (
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1=1 THEN 1 END; "
                "SELECT 2; END; SELECT 3"
            ),
            [
                (
                    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC "
                    "SELECT CASE WHEN 1=1 THEN 1 END; SELECT 2; END"
                ),
                "SELECT 3",
            ],
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case; END; COMMIT",
            ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case; END", "COMMIT"],
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end; SELECT 2; END; SELECT 3",
            [
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end; SELECT 2; END",
                "SELECT 3",
            ],
        ),
        (
            "CREATE FUNCTION f(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMIT; TABLE",
            [
                "CREATE FUNCTION f(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "COMMIT",
                "TABLE",
            ],
        ),
        (
            "CREATE PROCEDURE p() BEGIN ATOMIC END; TABLE t",
            ["CREATE PROCEDURE p() BEGIN ATOMIC END", "TABLE t"],
        ),
    ],
)
def test_a_script_is_split_where_postgresql_splits_it(sql, statements):
    assert split_statements(sql) == statements


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN",
        "begin work",
        "START TRANSACTION",
        "COMMIT",
        "commit;",
        "/* x */ CoMmIt",
        "-- x\nCOMMIT AND CHAIN",
        "END",
        "ABORT",
        "ROLLBACK",
        "ROLLBACK WORK",
        "ROLLBACK PREPARED 'x'",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET LOCAL transaction_read_only = on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET default_transaction_read_only = on",
        "SELECT 1; COMMIT; SELECT 2",
        r"SELECT '\'; COMMIT; --'",
        "SELECT E'a'\n'b\\' ; ' ; COMMIT ; SELECT ''",
        "SELECT 1 /* /* */ ; */; COMMIT",
        "SELECT $x$ $$ $x$; COMMIT; SELECT $$ $$",
        "SET standard_conforming_strings = off",
        "COPY t FROM STDIN",
        "COPY (SELECT 1) TO STDOUT",
    ],
)
def test_transaction_control_is_refused_however_it_is_dressed(sql):
    with pytest.raises(
        RefusedSql,
        match=r"is not allowed in a job's SQL|COPY from or to the client|must not be changed",
    ):
        refuse_transaction_control(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'COMMIT; ROLLBACK'",
        "SELECT 1 -- ; COMMIT",
        "SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a",
        "ROLLBACK WORK TO a",
        "PREPARE q AS SELECT 1",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT begin, commit FROM t",
        "COPY t FROM '/tmp/x'",
        "SET standard_conforming_strings = on",
        "SELECT setting FROM pg_settings WHERE name = 'standard_conforming_strings'",
        "SELECT 1 AS end, 2 AS begin, 3 AS commit, 4 AS rollback, 5 AS case, 6 AS atomic",
        "CREATE FUNCTION f(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET LOCAL statement_timeout = 1",
        "UPDATE t SET transaction_id = 1",
        r"SELECT E'\' ; COMMIT ; '",
        "SELECT E'a'\n'b\\' ; COMMIT ; '",
        'SELECT "x; COMMIT"',
    ],
)
def test_harmless_sql_is_let_through(sql):
    refuse_transaction_control(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM t",
        "vacuum (analyze) t",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX TABLE CONCURRENTLY t",
        "REINDEX (VERBOSE) DATABASE d",
        "CREATE DATABASE d",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "CLUSTER",
    ],
)
def test_statements_that_need_autocommit_are_known(sql):
    assert needs_autocommit(sql)


@pytest.mark.parametrize(
    "sql", ["SELECT vacuum FROM t", "CREATE INDEX i ON t (a)", "CLUSTER t", "REINDEX TABLE t"]
)
def test_other_statements_do_not_need_autocommit(sql):
    assert not needs_autocommit(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "PREPARE q AS SELECT 1",
        "DEALLOCATE ALL",
        "DISCARD TEMP",
        "LISTEN x",
        "UNLISTEN *",
        "LOAD 'auto_explain'",
        "SET search_path = a",
        "RESET ALL",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "CREATE TEMP TABLE t (a int)",
        "CREATE GLOBAL TEMPORARY TABLE t (a int)",
        "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_advisory_lock_shared(1)",
        "SELECT pg_try_advisory_lock(1, 2)",
        "SELECT pg_catalog.pg_try_advisory_lock_shared(1)",
        "SELECT 1; SELECT set_config('a.b', 'c', false)",
    ],
)
def test_statements_that_outlive_their_transaction_are_known(sql):
    assert leaves_session_state(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SET LOCAL work_mem = '1MB'",
        "SET CONSTRAINTS ALL DEFERRED",
        "DECLARE c CURSOR FOR SELECT 1",
        "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
        "SELECT pg_advisory_xact_lock(1)",
        "UPDATE t SET a=1",
    ],
)
def test_other_statements_leave_nothing_behind(sql):
    assert not leaves_session_state(sql)


def test_the_first_word_is_found_behind_comments_and_parentheses():
    assert first_word("-- x\n ((select 1))") == "SELECT"
    assert first_word("'x'") == ""


@pytest.mark.parametrize("sql", ["'abc", "$$abc", "/* /* */", '"abc', r"E'\'", "a\x00b", ""])
def test_the_tokens_cover_even_broken_sql(sql):
    assert "".join(token.text for token in tokens(sql)) == sql


def test_a_long_line_of_comment_marks_is_read_in_time():
    sql = "SELECT 'a' " + "-- " * 20_000

    assert "".join(token.text for token in tokens(sql)) == sql
