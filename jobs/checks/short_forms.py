"""The short forms of CheckData, `not_null: [id]` and the like, as checks."""

from collections.abc import Iterator, Mapping, Sequence

from headrace.jobs.checks.bounds import bound_of, exactly
from headrace.jobs.checks.check import Check


def rules_of(
    table: str | None,
    where: str | None,
    not_null: Sequence[str] | None,
    unique: Sequence[str] | None,
    unique_together: Sequence[str] | None,
    references: Mapping[str, str] | None,
) -> Iterator[Check]:
    """Yield the checks whose failures are rows."""
    for column in not_null or ():
        yield _rule("missing", f"{table}.{column} is null", table, where, column=column)
    combinations = [[column] for column in unique or ()]
    for columns in combinations + ([list(unique_together)] if unique_together else []):
        sentence = f"{table}.{', '.join(columns)} is not unique"
        yield _rule("duplicate", sentence, table, where, columns=columns)
    for column, parent in (references or {}).items():
        sentence = f"{table}.{column} is not in {parent}"
        yield _rule("invalid", sentence, table, where, column=column, valid_reference_data=parent)


def counts_of(
    table: str | None, where: str | None, least: int | None, most: int | None
) -> Iterator[Check]:
    """Yield the checks of the number of rows."""
    for limit, word, told in (
        (least, "must_be_greater_than_or_equal", "fewer"),
        (most, "must_be_less_than_or_equal", "more"),
    ):
        if limit is not None:
            bound = bound_of({word: limit}, name="row_count")
            sentence = f"{_plain(table)} has {{value}} rows, {told} than {limit}"
            yield Check(
                "row_count", f"row_count of {table}", bound, table, where, {}, "error", sentence
            )


def _rule(kind: str, sentence: str, table: str | None, where: str | None, **given: object) -> Check:
    told = f"{_plain(sentence)}: {{rows}}"
    name = f"{kind} {', '.join(_columns(given))} of {table}"
    return Check(kind, name, exactly(0), table, where, given, "error", told)


def _columns(given: Mapping[str, object]) -> list[str]:
    found = given.get("columns", given.get("column"))
    return [found] if isinstance(found, str) else list(found or ())  # type: ignore[call-overload]


def _plain(text: str | None) -> str:
    return str(text).replace("{", "{{").replace("}", "}}")
