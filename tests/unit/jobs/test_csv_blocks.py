"""CSV that is parsed a block at a time: no block ends within a record, and no value changes."""

import csv
import io
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.files import csv_records
from headrace.jobs.files.arrow_csv import Unfit, text_batches, typed_batches
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.csv_form import PLAIN, CsvForm
from headrace.jobs.files.csv_records import CsvRecords

pyarrow = pytest.importorskip("pyarrow")

TYPES = {"id": pyarrow.int64(), "text": None, "size": pyarrow.float64()}


def read(text: str, form: CsvForm = PLAIN, types=None):
    """Return the rows of a CSV text without a header."""
    records = CsvRecords(io.StringIO(text, newline=""), "x.csv", form, Lines(), one_column=False)
    batches = typed_batches(records, types or TYPES, form)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


@pytest.fixture(params=[1, 7, 64, 1 << 21])
def block(request, monkeypatch):
    monkeypatch.setattr(csv_records, "_RECORDS_BLOCK", request.param)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.usefixtures("block")
def test_every_record_is_read_once_wherever_a_block_ends(end):
    rows = [
        (1, "plain", 0.5),
        (2, 'with "quotes", a comma', 1.0),
        (3, f"two{end}lines, and{end}{end}a third", 2.25),
        (4, "\\.", 0.0),
        (5, 'ends with a quote"', 3.0),
        (6, "déjà vu ✓", -1.0),
    ]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(rows * 20)

    assert read(text.getvalue()) == rows * 20


def test_the_usual_words_for_true_and_false_are_read_at_once_and_others_left_to_postgresql():
    types = {"b": pyarrow.bool_()}
    true = ["t", "true", "T", "TRUE", "True", "1", "yes", "y", "on"]
    false = ["f", "false", "F", "FALSE", "False", "0", "no", "n", "off"]

    assert read("\n".join([*true, *false, ""]), types=types) == [(True,)] * 9 + [(False,)] * 9
    with pytest.raises(Unfit):
        read("yep\n", types=types)


@pytest.mark.usefixtures("block")
def test_blank_lines_are_passed_over_also_where_a_block_has_nothing_else():
    assert read("\n\n1,a,1\n" + "\n" * 90 + "2,b,2\n\n") == [(1, "a", 1.0), (2, "b", 2.0)]
    assert read("\n\n\n") == []


@pytest.mark.usefixtures("block")
def test_comments_are_passed_over():
    text = "# one\n1,a,1\n# two\n2,#b,2\n"

    assert read(text, CsvForm(comment="#")) == [(1, "a", 1.0), (2, "#b", 2.0)]


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    "line",
    ["0x1A,a,1", "1,a,1e999", "1,a,1e-999", "1,a", "1,a,1,1", "1.5,a,1", "1,a\rb,1", "1,a,wide"],
)
def test_a_record_that_postgresql_would_not_read_so_ends_this_way_of_reading(line):
    with pytest.raises((Unfit, JobFailure)):
        read("7,plain,0.25\n" * 9 + line + "\n")


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("line", ['1,5" pipe,1', '1,"a" b,1', '1,"never closed,1'])
def test_a_quote_inside_a_field_or_without_its_end_is_refused(line):
    with pytest.raises(JobFailure, match="quote"):
        read("7,plain,0.25\n" * 9 + line + "\n2,b,2\n")


@pytest.mark.usefixtures("block")
def test_the_year_0_is_left_to_postgresql():
    types = {"id": pyarrow.int64(), "day": pyarrow.date32()}
    assert len(read("1,0001-01-01\n2,\n", types=types)) == 2

    with pytest.raises(Unfit, match="the year 0"):
        read("1,0000-12-31\n", types=types)


def test_a_record_without_an_end_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr(csv_records, "_RECORDS_BLOCK", 64)
    monkeypatch.setattr(csv_records, "_LONGEST_RECORD", 1000)

    with pytest.raises(Unfit, match="a record that does not end"):
        read('1,"a,1\n' + "2,b,2\n" * 1000)


def blocks(*given: str | Exception) -> Any:
    """Give these blocks of text one by one, then "" for ever; an error is raised at its place."""
    coming = iter(given)

    def read(_size: int = -1, /) -> str:
        block = next(coming, "")
        if isinstance(block, Exception):
            raise block
        return block

    return SimpleNamespace(read=read)


def texts(*given: str | Exception) -> list[dict[str, str]]:
    found = text_batches(blocks(*given), ["a", "b"], PLAIN, "x.csv")
    return [row for batch in found for row in batch.to_pylist()]


def test_columns_of_texts_keep_what_stands_there_and_no_text_has_no_batch():
    assert texts() == []
    assert texts('1, "x"\n', '"2\n,",y\n') == [
        {"a": "1", "b": ' "x"'}, {"a": "2\n,", "b": "y"}
    ]  # fmt: skip


def test_a_record_with_too_many_fields_is_told():
    with pytest.raises(JobFailure) as failure:
        texts("1,2\n", "3,4,5\n")
    assert str(failure.value) == "x.csv: Row #2: Expected 2 columns, got 3: 3,4,5"


def test_a_record_that_is_too_long_for_a_block_is_told_with_the_remedy():
    with pytest.raises(JobFailure) as failure:
        texts(f"1,2\n3,{'x' * 5_000_000}\n")
    assert str(failure.value) == (
        "x.csv: a record is longer than 2 MB, which is too long where values are rewritten, as by"
        " decimal or a date's format: take such columns as text, and convert them in SQL"
    )
    assert len(texts(f"1,2\n3,{'x' * 1_900_000}\n4,5\n")) == 3


@pytest.mark.parametrize("error", [JobFailure("x.csv:2: no"), KeyError("no"), ValueError("no")])
def test_an_error_of_the_text_is_raised_as_it_is(error: Exception):
    with pytest.raises(type(error)) as failure:
        texts("1,2\n", error)
    assert failure.value is error


def test_an_error_of_who_reads_the_batches_is_raised_as_it_is():
    found: Any = text_batches(blocks("1,2\n"), ["a", "b"], PLAIN, "x.csv")
    next(found)
    with pytest.raises(KeyError, match="theirs"):
        found.throw(KeyError("theirs"))
