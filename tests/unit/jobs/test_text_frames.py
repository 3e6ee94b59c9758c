"""On which line of its file each record of a batch begins."""

import pytest

from headrace.jobs.copying.text_frames import LineCount
from headrace.jobs.files.copy_streams import Lines

arrow = pytest.importorskip("pyarrow")


def _batch(texts: list[str | None], **more: object):
    return arrow.RecordBatch.from_pydict({"a": arrow.array(texts, arrow.string()), **more})


def test_line_ends_inside_a_record_move_those_behind_it() -> None:
    count = LineCount(Lines(before=1))

    assert count.of(_batch(["x", "y\nz", None, "\n\n"], b=["\n", "", "", ""])) == [2, 4, 6, 7]
    count.pass_over(_batch(["p", "q\nr"]))
    assert count.of(_batch(["s"])) == [13]


def test_a_column_that_is_no_text_has_no_line_ends() -> None:
    count = LineCount(Lines())

    assert count.of(_batch(["x\n", "y"], n=[1, None], yes=[True, False])) == [1, 3]
    numbers = arrow.RecordBatch.from_pydict({"n": [1, 2]})
    assert count.of(numbers) == [4, 5]
    count.pass_over(numbers)
    assert count.of(numbers) == [8, 9]
