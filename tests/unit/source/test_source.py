"""YAML is read as people mean it, within limits, with the place of everything."""

from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.source import parse, read, scan, shown_path
from headrace.errors import Problem, ProblemsError


def problem(text: str | bytes) -> Problem:
    with pytest.raises(ProblemsError) as caught:
        parse(text, "file.yaml")
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("010", 10),
        ("+7", 7),
        ("-0", 0),
        ("0o17", 15),
        ("0xfF", 255),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("190:20", "190:20"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T06:00:00Z", "2024-01-31T06:00:00Z"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("~", None),
        ("Null", None),
        ("", None),
        ("'010'", "010"),
        ('"true"', "true"),
        ("!!str 010", "010"),
        ("!!float 1", 1.0),
        ("! 5", "5"),
        ("=", "="),
        ("٣", "٣"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    data = parse(f"key: {text}\n", "file.yaml").data["key"]

    assert data == value
    assert type(data) is type(value) or (
        isinstance(data, type(value)) and data.spelt == text  # a number that is written otherwise
    )


def test_every_value_and_key_has_its_place() -> None:
    document = parse("steps:\n  - id: a\n    with: {table: t}\n  - id: é\n    job: x\n", "f")

    assert document.at(()) == (1, 1)
    assert document.at(("steps", 0)) == (2, 5)
    assert document.at(("steps", 0, "id")) == (2, 9)
    assert document.at(("steps", 0, "with", "table")) == (3, 19)
    assert document.at(("steps", 0, "with", "table"), key=True) == (3, 12)
    assert document.at(("steps", 1, "job"), key=True) == (5, 5)


def test_what_the_file_lacks_has_the_place_of_its_nearest_parent() -> None:
    document = parse("steps:\n  - id: a\n", "f")

    assert document.at(("steps", 0, "job")) == (2, 5)
    assert document.at(("steps", 0, "job"), key=True) == (2, 5)
    assert document.at(("steps", 7, "with", "x")) == (2, 3)
    assert document.at(("steps", 0, "id", "deeper")) == (2, 9)


def test_an_alias_stands_where_it_is_written_and_its_content_where_that_is() -> None:
    document = parse("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n", "f")

    assert document.data == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    assert document.at(("b",)) == (2, 4)
    assert document.at(("b", "x")) == (1, 11)
    assert document.at(("c", "x"), key=True) == (1, 8)


def test_written_keys_win_over_merged_ones_and_earlier_merges_over_later() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {y: 3, <<: [*b, *a]}\nd: {<<: [*a, *b]}\n"

    data = parse(text, "f").data

    assert data["c"] == {"y": 3, "z": 2, "x": 1}
    assert data["d"] == {"x": 1, "y": 1, "z": 2}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert parse("'<<': 5\n", "f").data == {"<<": 5}


def test_all_duplicate_keys_are_told_with_both_places() -> None:
    document, problems = scan("a: 1\nb: 2\na: 3\nb: 4\n", "f")

    assert document is not None
    assert document.data == {"a": 1, "b": 2}
    assert [(p.code, p.line) for p in problems] == [("duplicate-key", 3), ("duplicate-key", 4)]
    assert "first at line 1, column 1" in problems[0].message


def test_a_10_mb_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"- x\n" * 2_500_000)

    found = read(path)

    assert isinstance(found, Problem)
    assert (found.code, found.line, found.column) == ("too-large", 1, 1)


def test_text_over_the_limit_is_refused_before_it_is_parsed() -> None:
    assert problem(b"a" * 10_000_000).code == "too-large"


@pytest.mark.parametrize("text", ["[1, 1, " * 140_000, "- x\n" * 200_000, "&a [" * 200_000])
def test_a_file_of_too_many_values_is_refused(text: str) -> None:
    assert problem(text).code in ("too-large", "too-deep")


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    levels = "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    assert problem("a: &a [x, x, x, x, x, x, x, x]\n" + levels).code == "alias-limit"


def test_aliases_are_counted_even_if_they_are_small() -> None:
    assert problem("a: &a x\nb: [" + "*a, " * 1_100 + "]").code == "alias-limit"


def test_a_merge_bomb_is_refused() -> None:
    base = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(900)) + "}\n"
    text = base + "".join(f"m{n}: {{<<: *a}}\n" for n in range(900))

    assert problem(text).code == "alias-limit"


def test_the_byte_that_is_not_utf_8_has_its_place() -> None:
    found = problem(b"a: 1\nb: \xe9\n")

    assert (found.code, found.line, found.column) == ("encoding", 2, 4)


def test_a_tab_in_a_block_of_text_is_no_indentation() -> None:
    assert parse("a: |\n  one\n  \ttwo\n", "f").data == {"a": "one\n\ttwo\n"}


def test_a_syntax_error_does_not_hide_duplicates_before_it() -> None:
    _, problems = scan("a: 1\na: 2\nb: [1\n", "f")

    assert [p.code for p in problems] == ["duplicate-key", "yaml-syntax"]


@pytest.mark.parametrize("path", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_problem(path: str, tmp_path: Path) -> None:
    found = read(tmp_path / path)

    assert isinstance(found, Problem)
    assert found.code == "unreadable-file"


def test_paths_are_shown_relative_to_the_current_folder_where_they_are_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert shown_path(tmp_path / "pipelines" / "a.yaml") == "pipelines/a.yaml"
    assert shown_path(Path("pipelines/../b.yaml")) == "b.yaml"
    assert shown_path(Path("/elsewhere/c.yaml")) == "/elsewhere/c.yaml"
