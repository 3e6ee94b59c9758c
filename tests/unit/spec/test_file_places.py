"""Where a part of a pipeline stands in its file, and what a file that cannot be read says."""

from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.file_places import place_of, place_of_finding
from headrace.declarations.source import Document, KeyPath, parse
from headrace.declarations.value_origins import resolved
from headrace.errors import ProblemsError
from tests.support.catalogue import SmallCatalogue

TEXT = """\
name: p
schedule: {cron: "@daily", jitter: 5m}
defaults: {timeout: 5m, env: {A: b}}
templates:
  t: {step: {job: X, with: {sql: select 1}}}
steps:
  - {id: a, job: X, timeout: 1m}
  - {id: b, template: t, with: {n: 1}}
  - id: c
    with:
      sql: |
        select 1,
          x, x
      folded: >
        one
        x two
handlers:
  failure: [{id: h, job: Y}]
"""


@pytest.fixture
def document() -> Document:
    return parse(TEXT, "p.yaml")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("schedule", 0, "jitter"), (2, 36)),
        (("schedule", 0), (2, 11)),
        (("schedule",), (2, 11)),
        (("steps", "a", "timeout"), (7, 30)),
        (("steps", "b", "timeout"), (3, 21)),
        (("steps", "a", "env", "A"), (3, 34)),
        (("steps", "b", "with", "n"), (8, 36)),
        (("steps", "b", "with", "sql"), (5, 34)),
        (("steps", "b", "job"), (5, 19)),
        (("steps", "a", "retry"), (7, 5)),
        (("steps", "nowhere"), (7, 3)),
        (("handlers", "failure", "h", "job"), (18, 26)),
        (("handlers", "finally", "h"), (18, 3)),
        (("nothing", "here"), (1, 1)),
    ],
)
def test_a_part_stands_where_it_is_written_or_in_the_nearest_thing_around_it(
    document: Document, path: KeyPath, place: tuple[int, int]
) -> None:
    assert tuple(place_of(document, path)) == place


@pytest.mark.parametrize(
    ("key", "line", "word", "place"),
    [
        ("sql", 0, "", (11, 12)),
        ("sql", 1, "1", (12, 16)),
        ("sql", 2, "x", (13, 11)),
        ("sql", 2, "", (13, 11)),
        ("sql", 2, "nowhere", (13, 11)),
        ("sql", 99, "x", (11, 12)),
        ("folded", 2, "two", (14, 15)),
        ("folded", 1, ">", (14, 15)),
    ],
)
def test_a_word_of_a_text_has_its_own_place_where_the_lines_are_the_files(
    document: Document, key: str, line: int, word: str, place: tuple[int, int]
) -> None:
    found = place_of_finding(document, ("steps", 2, "with", key), line=line, word=word)
    assert tuple(found) == place


@pytest.mark.parametrize(
    ("text", "defaults", "told"),
    [
        (None, "", "no such file or directory"),
        ("a: 1\na: 2\n", "", "is set twice"),
        ("name: p\nsteps: [{id: a, template: gone}]\n", "", "uses an unknown template"),
        ("name: p\nsteps: [{id: a, job: X}]\n", "timeout: x\n", '"timeout" cannot be "x"'),
    ],
)
def test_what_cannot_be_read_has_no_values_and_says_why(
    tmp_path: Path, text: str | None, defaults: str, told: str
) -> None:
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    if defaults:
        (tmp_path / "_defaults.yaml").write_text(defaults)
    with pytest.raises(ProblemsError) as caught:
        resolved(path, SmallCatalogue(), Settings(tmp_path, tmp_path, tmp_path))
    assert told in str(caught.value)
