"""Refuses statements that users' SQL must not contain, before they reach the server.

A job's SQL runs in the transaction that also records the job's completion. A COMMIT inside it
would tear the two apart, so transaction control is refused here. The server itself refuses it
inside DO blocks and procedures that are called within a transaction.
"""

import re
from functools import lru_cache

from headrace.errors import RefusedSql
from headrace.template.lexer import Kind, Token, code, kept, tokens

_STARTS_ROUTINE = re.compile(r"CREATE( OR REPLACE)? (FUNCTION|PROCEDURE)\b")

_TRANSACTION_CONTROL = re.compile(
    r"(BEGIN|START TRANSACTION|COMMIT|END|ABORT|PREPARE TRANSACTION"
    r"|ROLLBACK(?!( WORK| TRANSACTION)? TO)"
    r"|SET( LOCAL| SESSION)? TRANSACTION|SET SESSION CHARACTERISTICS"
    r"|(SET|RESET)( LOCAL| SESSION)? (DEFAULT_)?TRANSACTION_\w+)\b"
)
# To the value that it has, any dump sets it. What is put together is found out when it has run.
_PLAIN_STRINGS_OFF = re.compile(
    r"SET( LOCAL| SESSION)? STANDARD_CONFORMING_STRINGS( TO)? (OFF|FALSE|NO)\b"
)
_COPY_STREAM = re.compile(r"COPY\b.*\b(FROM STDIN|TO STDOUT)\b")

_NO_TRANSACTION = re.compile(
    r"(VACUUM|ALTER SYSTEM"
    r"|(CREATE|DROP) (DATABASE|TABLESPACE|SUBSCRIPTION)"
    r"|CREATE( UNIQUE)? INDEX CONCURRENTLY|DROP INDEX CONCURRENTLY"
    r"|REINDEX\b.*\b(CONCURRENTLY|SCHEMA|DATABASE|SYSTEM)"
    r"|ALTER TABLE\b.*\bDETACH PARTITION\b.*\bCONCURRENTLY"
    r"|ALTER DATABASE\b.*\bSET TABLESPACE"
    r"|CLUSTER$|CLUSTER VERBOSE$)\b"
)
# The simple forms only: EXPLAIN takes nothing else that begins with CREATE.
_MAKES_OF_QUERY = re.compile(
    r"CREATE( (GLOBAL|LOCAL))?( (TEMP|TEMPORARY|UNLOGGED))?( MATERIALIZED VIEW| TABLE)"
    r"( IF NOT EXISTS)?( \w+){0,2}( ON COMMIT (DROP|(DELETE|PRESERVE) ROWS))?"
    r" AS (SELECT|WITH|TABLE|VALUES)\b"
)
_SESSION_STATE = re.compile(
    r"(PREPARE|DEALLOCATE|DISCARD|LISTEN|UNLISTEN|LOAD|RESET|SET(?! LOCAL| CONSTRAINTS)"
    r"|DECLARE\b.*\bWITH HOLD"
    r"|CREATE( OR REPLACE)?( GLOBAL| LOCAL)? (TEMP|TEMPORARY)\b(?!.*\bON COMMIT DROP))\b"
)
_SESSION_FUNCTIONS = frozenset(
    {
        "PG_ADVISORY_LOCK",
        "PG_ADVISORY_LOCK_SHARED",
        "PG_TRY_ADVISORY_LOCK",
        "PG_TRY_ADVISORY_LOCK_SHARED",
        "SET_CONFIG",
    }
)


def split_statements(sql: str) -> list[str]:
    """Return the statements of `sql`, each without its semicolon; empty ones are left out.

    A semicolon inside quotes, dollar quotes, comments, parentheses or a routine's
    `BEGIN ATOMIC … END` body ends nothing. What PostgreSQL would not parse may be split anyhow.
    """
    return list(_split(sql))


@kept
def _split(sql: str) -> tuple[str, ...]:
    statements: list[str] = []
    start = 0
    current: list[Token] = []
    nesting = _Nesting()
    for token in tokens(sql):
        if token.kind is Kind.SEMICOLON and nesting.outside:
            _keep(statements, sql[start : token.start], current)
            start, current, nesting = token.end, [], _Nesting()
        elif token.kind not in (Kind.SPACE, Kind.COMMENT):
            current.append(token)
            nesting.feed(token)
    _keep(statements, sql[start:], current)
    return tuple(statements)


def refuse_transaction_control(sql: str, *, streams: bool = False) -> None:
    """Raise RefusedSql where `sql` holds a statement that may not run inside a job.

    With `streams` the client has data for a COPY, or takes them.
    """
    for statement in split_statements(sql):
        _refuse(statement, streams=streams)


def needs_autocommit(statement: str) -> bool:
    """Return whether PostgreSQL refuses this statement inside a transaction (VACUUM, say)."""
    return _NO_TRANSACTION.match(_skeleton(statement)) is not None


def makes_table_of_query(statement: str) -> bool:
    """Return whether it is a CREATE TABLE … AS, or CREATE MATERIALIZED VIEW … AS, with a query."""
    return _MAKES_OF_QUERY.match(_skeleton(statement)) is not None


def leaves_session_state(sql: str) -> bool:
    """Return whether a statement changes its connection beyond the transaction's end.

    Such a connection must be reset (`DISCARD ALL`) or closed before another job uses it.
    """
    return any(
        _SESSION_STATE.match(_skeleton(statement))
        or _SESSION_FUNCTIONS & {t.text.upper() for t in code(statement) if t.kind is Kind.WORD}
        for statement in split_statements(sql)
    )


@kept
def first_word(statement: str) -> str:
    """Return the statement's first word in capitals, "" where it begins with none."""
    for token in code(statement):
        if token.kind is Kind.WORD:
            return token.text.upper()
        if token.text != "(":
            break
    return ""


def without_comments(statement: str) -> str:
    """Return the statement's code with one blank between two tokens."""
    return " ".join(token.text for token in code(statement))


def has_word(statement: str, word: str) -> bool:
    """Return whether `word` stands as code anywhere in the statement, whatever its case."""
    return word.upper() in _words(statement)


@kept
def _words(statement: str) -> frozenset[str]:
    return frozenset(t.text.upper() for t in code(statement) if t.kind is Kind.WORD)


def words_of(statement: str) -> set[str]:
    """Return the names and key words of a statement's code, as PostgreSQL reads them."""
    found = set()
    for token in code(statement):
        if token.kind is Kind.WORD:
            found.add(token.text.lower())
        elif token.kind is Kind.QUOTED_NAME:
            found.add(token.text[1:-1].replace('""', '"'))
    return found


class _Nesting:
    """Counts what must be closed before a semicolon ends the statement.

    A routine's body begins with BEGIN ATOMIC outside parentheses (inside them `begin` may be a
    parameter, and `atomic` its type). Its END stands where a statement would begin, and no other
    `end`, `case` or `begin` means anything, so that all of them may be names.
    """

    def __init__(self) -> None:
        self._parentheses = 0
        self._bodies = 0
        # What the innermost statement begins with; the word before.
        self._words: list[str] = []
        self._before = ""

    @property
    def outside(self) -> bool:
        return self._parentheses == 0 and self._bodies == 0

    def feed(self, token: Token) -> None:
        if token.text == "(":
            self._parentheses += 1
        elif token.text == ")":
            self._parentheses = max(0, self._parentheses - 1)
        elif token.kind is Kind.SEMICOLON and self._parentheses == 0:
            self._words.clear()
        elif token.kind is Kind.WORD and self._parentheses == 0:
            self._feed_word(token.text.upper())
        if token.kind is not Kind.WORD:
            self._before = ""
            if token.kind is not Kind.SEMICOLON:
                self._words.append("")

    def _feed_word(self, word: str) -> None:
        if self._bodies and word == "END" and not self._words:
            self._bodies -= 1
        elif word == "ATOMIC" and self._before == "BEGIN" and self._in_routine:
            self._bodies += 1
            self._words.clear()
            self._before = ""
            return
        self._words.append(word)
        self._before = word

    @property
    def _in_routine(self) -> bool:
        return _STARTS_ROUTINE.match(" ".join(self._words[:4])) is not None


def _keep(statements: list[str], text: str, meaningful: list[Token]) -> None:
    if meaningful:
        statements.append(text.strip())


def _refuse(statement: str, *, streams: bool) -> None:
    skeleton = _skeleton(statement)
    control = _TRANSACTION_CONTROL.match(skeleton)
    if control:
        raise RefusedSql(
            f"{control[0]} is not allowed in a job's SQL: it already runs in one transaction, "
            "which commits together with the job's completion. Remove the statement; "
            "SAVEPOINT and ROLLBACK TO SAVEPOINT may be used"
        )
    if not streams and _COPY_STREAM.match(skeleton):
        raise RefusedSql("COPY from or to the client has no data here: use LoadFile or ExportQuery")
    if _PLAIN_STRINGS_OFF.match(skeleton):
        raise RefusedSql("standard_conforming_strings must not be changed: write E'…' for escapes")


@kept
def _skeleton(statement: str) -> str:
    """Return the words of a statement in capitals, one space between; the rest left out."""
    return _joined(code(statement))


def _joined(found: list[Token]) -> str:
    return " ".join(token.text.upper() for token in found if token.kind is Kind.WORD)


class JobGuard:
    """The rules of `headrace.template.guard`, as a job's connection asks for them."""

    def check(self, statement: str, *, copy: bool = False) -> bool:
        """Return whether a statement leaves something in the session that a reset does not clear.

        Raises:
            RefusedSql: The statement would end or begin a transaction.
        """
        return _checked(statement, copy)

    def split(self, text: str) -> list[str]:
        """Return the statements of a text."""
        return split_statements(text)


@lru_cache(maxsize=256)
def _checked(statement: str, copy: bool) -> bool:
    refuse_transaction_control(statement, streams=copy)
    return leaves_session_state(statement)
