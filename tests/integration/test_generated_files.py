"""Generated files: every record is written or set aside, and none is neither or both."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from headrace.errors import HeadraceError
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner
from tests.support.generated import budget

# The text of a field, and the value that the column then has; `...`: it takes none of it.
_INTS: list[tuple[str, Any]] = [
    *(("1", 1), ("-2147483648", -(2**31)), ("007", 7), ("", None)),
    *(("x", ...), ("2147483648", ...), ("1.5", ...), ("1e2", ...)),
]
_DAYS: list[tuple[str, Any]] = [("2026-01-31", "2026-01-31"), ("", None), ("2026-02-30", ...),
                                ("tomorrowish", ...), ("0000-00-00", ...)]  # fmt: skip
_WORDS = ["a", "", " ", "größe", "🙂", 'say "hi"', "a,b", "a;b", "two\nlines", "two\r\nlines",
          "\\.", "\\N", "NULL", "#x", "'", "tab\there", "=1+1", "\ufeff", "x" * 300]  # fmt: skip
_characters = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
_words = st.sampled_from(_WORDS) | st.text(_characters, max_size=12)


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the columns `id int, word text, day date`; `row` is None if it is set aside."""

    fields: tuple[str, ...]
    quoted: tuple[bool, ...]
    row: tuple[Any, ...] | None


@st.composite
def records(draw: st.DrawFn) -> Record:
    number, kept = draw(st.sampled_from(_INTS))
    day, kept_day = draw(st.sampled_from(_DAYS))
    word = draw(_words)
    fields: tuple[str, ...] = (number, word, day)
    quoted = tuple(draw(st.booleans()) for _ in fields)
    row = (kept, word if word or quoted[1] else None, kept_day)
    whole: tuple[Any, ...] | None = row
    if ... in row:
        whole = None
    more = draw(st.sampled_from([0] * 8 + [-1, 1]))
    if more:
        fields, quoted = (
            (fields[:-1], quoted[:-1]) if more < 0 else ((*fields, "more"), (*quoted, False))
        )
        whole = None
    return Record(fields, quoted, whole)


def written(record: Record, delimiter: str) -> str:
    return delimiter.join(
        '"' + field.replace('"', '""') + '"'
        if quoted or any(mark in field for mark in f'{delimiter}"\r\n') or field == "\\."
        else field
        for field, quoted in zip(record.fields, record.quoted, strict=True)
    )


class Ground:
    """A table, and another one for what is set aside."""

    def __init__(self, run_job: JobRunner, engine: Engine, folder: Path) -> None:
        self.run_job, self.engine, self.folder = run_job, engine, folder

    def load(self, raw: bytes, name: str, **with_: Any) -> dict[str, Any]:
        with self.engine.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS t, aside"))
            connection.execute(text("CREATE TABLE t (id int, word text, day date)"))
        (self.folder / name).write_bytes(raw)
        on_error = {"reject_table": "aside", "limit": "100%"}
        result: dict[str, Any] = self.run_job(
            LoadFile, path=name, table="t", on_error=on_error, **with_
        )
        return result

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def kept(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT id, word, day::text FROM t")

    def aside(self) -> int:
        if self.rows("SELECT to_regclass('aside')") == [(None,)]:
            return 0
        return int(self.rows("SELECT count(*) FROM aside")[0][0])


@pytest.fixture
def ground(target: Engine, tmp_path: Path) -> Ground:
    run_job = JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)
    return Ground(run_job, target, tmp_path)


def alike(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(map(repr, rows))


@budget(10)
@given(
    st.lists(records(), max_size=30), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_each_record_of_a_csv_file_is_written_or_set_aside(
    ground: Ground, made: list[Record], delimiter: str, end: str, mark: bool, ended: bool
) -> None:
    lines = [delimiter.join(["id", "word", "day"]), *(written(one, delimiter) for one in made)]
    raw = end.join(lines) + (end if ended else "")

    result = ground.load(
        (b"\xef\xbb\xbf" if mark else b"") + raw.encode(), "in.csv", delimiter=delimiter
    )

    wanted = [one.row for one in made if one.row is not None]
    assert alike(ground.kept()) == alike(wanted)
    assert result["row_count"] == len(wanted)
    assert result["rejected"] == ground.aside() == len(made) - len(wanted)


@budget(10)
@given(st.lists(records(), max_size=30), st.sampled_from(["json", "jsonl"]), st.data())
def test_each_record_of_a_json_file_is_written_or_set_aside(
    ground: Ground, made: list[Record], format_: str, data: st.DataObject
) -> None:
    lines, wanted = [], []
    for record in made:
        number, word, day = (*record.fields, "")[:3]
        one = {"id": number or None, "word": word, "day": day or None}
        keys = data.draw(st.permutations(list(one)))
        lines.append({key: one[key] for key in keys} | ({"x": 1} if len(record.fields) > 3 else {}))
        kept = dict(_INTS)[number], word, dict(_DAYS).get(day)
        if ... not in kept and len(record.fields) < 4:
            wanted.append(kept)
    told = [json.dumps(line, ensure_ascii=data.draw(st.booleans())) for line in lines]
    raw = "\n".join(told) if format_ == "jsonl" else f"[{', '.join(told)}]"

    result = ground.load(raw.encode(), f"in.{format_}")

    assert alike(ground.kept()) == alike(wanted)
    assert result["row_count"] == len(wanted)
    assert result["rejected"] == ground.aside() == len(made) - len(wanted)


_PIECES = st.sampled_from(
    [b"id,word,day\n", b"1,a,2026-01-01\n", b'"', b'""', b",", b";", b"\n", b"\r", b"\r\n", b"\\",
     b"\\.", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", b"{", b"}",
     b"[", b"]", b":", b'{"id": 1}', b'{"id": 1, "id": 2}', b"null", b"1e999", b"NaN",
     b'"\\ud800"', b"\xc3\xa4",
     b"\xe4", b"'", b"#", b" ", b"1", b"x" * 200, b'{"word": "a\\u0000"}', b"\xe2\x80\xa8"]
)  # fmt: skip


@budget(20)
@given(
    st.lists(_PIECES, max_size=20).map(b"".join),
    st.sampled_from(
        ["in.csv", "in.tsv", "in.json", "in.jsonl", "in.csv.gz", "in.xlsx", "in.parquet"]
    ),
)
@example(b"", "in.csv")
@example(b"id,word,day\n", "in.csv")
def test_bytes_of_no_meaning_are_an_error_that_names_the_file_or_all_counted(
    ground: Ground, raw: bytes, name: str
) -> None:
    try:
        result = ground.load(raw, name)
    except HeadraceError as error:
        told, result = str(error), {"row_count": 0, "rejected": None}
    assert result["row_count"] == len(ground.kept())
    if result["rejected"] is None:
        assert name in told
    else:
        assert result["rejected"] == ground.aside()
