"""Asking PostgreSQL what it thinks of a statement, without running it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg2
from psycopg2 import errorcodes

from headrace.errors import StoreUnavailable
from headrace.store.connect import connect_raw
from headrace.store.outages import tells_of_a_break, unavailable_message
from headrace.store.session_settings import Use

_Seen = TypeVar("_Seen")

# A look must neither wait long for a lock nor hold one up.
_TIMEOUT_MS = 5000
_LOCK_TIMEOUT_MS = 1000
_EXPLAIN = "EXPLAIN (FORMAT JSON, VERBOSE) "
# A table of fewer rows is read as a whole in no time.
LARGE_ROWS = 100_000
_FEW = 0.1

_WORD = re.compile(r'[\w."]+|.', re.DOTALL)
_ROWS = (
    "SELECT c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s"
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The planner's estimate: its cost units, the rows that come back, large tables read whole.

    `scans` names tables of over `LARGE_ROWS` rows of which a filter keeps few.
    """

    cost: float
    rows: int
    scans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Reason why PostgreSQL refuses a statement.

    `state` is the SQLSTATE, `code` its name as in `undefined-table`. `line` is the line of the
    statement from 1, and `word` what stands there; 0 and "" where the server does not say.
    """

    state: str
    code: str
    message: str
    hint: str = ""
    line: int = 0
    word: str = ""


# Of CREATE TABLE IF NOT EXISTS … AS where it exists, say.
NOTHING = Fault("42P07", "duplicate-table", "there is nothing to plan")


class Explainer:
    """One connection for looking, with a job's search path.

    Each look is a READ ONLY transaction that is rolled back.
    """

    def __init__(self, database_url: str) -> None:
        """Connect.

        Raises:
            StoreUnavailable, ConfigError: The database does not answer; its URL is none.
        """
        self._raw: Any = connect_raw(
            database_url, application_name="headrace:explain", use=Use.TARGET
        )
        with self._raw.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")

    def explain(self, texts: Sequence[str], values: Sequence[Any]) -> Estimate | Fault:
        """Have a statement planned. It is given as the texts around its values.

        Raises:
            StoreUnavailable: The database went away.
        """

        def estimate(cursor: Any) -> Estimate | Fault:
            plans = [one["Plan"] for one in cursor.fetchone()[0] if "Plan" in one]
            return _estimate(plans[0], cursor) if plans else NOTHING

        return self._look(_EXPLAIN, texts, values, estimate)

    def rows(self, texts: Sequence[str], values: Sequence[Any]) -> list[tuple[Any, ...]] | Fault:
        """Run a query on the catalogue, given as the texts around its values.

        Raises:
            StoreUnavailable: The database went away.
        """
        return self._look("", texts, values, lambda cursor: cursor.fetchall())

    def _look(
        self,
        before: str,
        texts: Sequence[str],
        values: Sequence[Any],
        read: Callable[[Any], _Seen | Fault],
    ) -> _Seen | Fault:
        with self._raw.cursor() as cursor:
            literals = [_literal(cursor, value) for value in values]
            sent = before + _joined(texts, literals)
            try:
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                cursor.execute(f"SET LOCAL statement_timeout = {_TIMEOUT_MS}")
                cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                cursor.execute(sent)
                return read(cursor)
            except psycopg2.Error as error:
                if tells_of_a_break(error):
                    raise StoreUnavailable(unavailable_message(error)) from error
                return _fault(error, sent, texts, literals)
            finally:
                if not self._raw.closed:
                    cursor.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()


def _literal(cursor: Any, value: Any) -> str:
    written: bytes = cursor.mogrify("%s", (value,))
    return written.decode("utf-8", "replace")


def _joined(texts: Sequence[str], literals: Sequence[str]) -> str:
    pieces = [text + literal for text, literal in zip(texts, literals, strict=False)]
    return "".join([*pieces, texts[-1]])


def _estimate(plan: Mapping[str, Any], cursor: Any) -> Estimate:
    scans = [node for node in _nodes(plan) if _is_filtered_scan(node)]
    large = [node for node in scans if node["Plan Rows"] < _FEW * _rows_of(node, cursor)]
    names = dict.fromkeys(f"{node['Schema']}.{node['Relation Name']}" for node in large)
    return Estimate(float(plan["Total Cost"]), int(plan["Plan Rows"]), tuple(names))


def _nodes(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [plan]
    for node in found:
        found += node.get("Plans", ())
    return found


def _is_filtered_scan(node: Mapping[str, Any]) -> bool:
    return node["Node Type"] == "Seq Scan" and "Filter" in node and "Relation Name" in node


def _rows_of(node: Mapping[str, Any], cursor: Any) -> float:
    """Return the rows of the scanned table as the catalogue has them; 0 where they are few."""
    cursor.execute(_ROWS, (node["Schema"], node["Relation Name"]))
    row = cursor.fetchone()
    return row[0] if row and row[0] >= LARGE_ROWS else 0.0


def _fault(
    error: psycopg2.Error, sent: str, texts: Sequence[str], literals: Sequence[str]
) -> Fault:
    state = error.pgcode or ""
    try:
        code = errorcodes.lookup(state).lower().replace("_", "-")
    except KeyError:
        code = f"sql-{state.lower() or 'error'}"
    message = error.diag.message_primary or str(error)
    hint = error.diag.message_hint or ""
    position = error.diag.statement_position
    if position is None:
        return Fault(state, code, message, hint)
    index = int(position) - 1
    line = 1 + sent.count("\n", 0, index) - _breaks_in_values(index, texts, literals)
    found = _WORD.match(sent, index)
    return Fault(state, code, message, hint, line, found[0] if found else "")


def _breaks_in_values(index: int, texts: Sequence[str], literals: Sequence[str]) -> int:
    """Return how many lines the values before a place of the sent text have added."""
    breaks, end = 0, len(_EXPLAIN)
    for text, literal in zip(texts, literals, strict=False):
        end += len(text) + len(literal)
        if end > index:
            break
        breaks += literal.count("\n")
    return breaks
