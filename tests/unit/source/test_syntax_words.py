"""What is no YAML, or beyond a limit, is told in plain words at its place."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.declarations.source import MAX_BYTES, parse, read, scan
from headrace.declarations.source.syntax import syntax_problem
from headrace.errors import Problem

SYNTAX = "yaml-syntax"


def told(text: str | bytes) -> list[tuple[int, int, str, str]]:
    _document, problems = scan(text, "f")
    return [(one.line, one.column, one.code, one.message) for one in problems]


@pytest.mark.parametrize(
    ("text", "place", "message", "remedy"),
    [
        ("a: - b\n", (1, 4), "a list item cannot begin here", "below its key"),
        ("a: b: c\n", (1, 5), "a second `: ` on one line", 'quote a value that contains ": "'),
        ("a:\n  - 1\n 2\n", (3, 2), "the indentation of the mapping above", "align it"),
        ("a:\n  - 1\n  b: 2\n", (3, 3), "the indentation of the list above", "with `- ` in the"),
        ("a: [1\n", (2, 1), "a list in brackets is not closed", "end the list with ]"),
        ("a: {b: 1\n", (2, 1), "a mapping in braces is not closed", "end the mapping with }"),
        ("a: x\n...\nb: 1\n", (3, 1), "does not belong to anything above it", "one mapping"),
        ("a: ,\n", (1, 4), "a value is expected here", "begins with a special character"),
        ("? x: ? y\n", (1, 6), "`? ` cannot begin a key here", "quote a text that begins with ?"),
        ("% b\n", (1, 2), "a line that begins with % is a YAML directive", "remove the line"),
        ("a: 1\nb\n", (3, 1), "a key without `:`", "write `key: value`"),
        ('a: "\\q"\n', (1, 5), "an unknown escape in double quotes", "use single quotes"),
        ('a: "\\xZZ"\n', (1, 7), "an escape in double quotes has no digits", "use single quotes"),
        ("a: *\n", (1, 5), "an unquoted value cannot begin with * or &", "quote it"),
        ("a: @x\n", (1, 4), "an unquoted value cannot begin with @", "put the value in quotes"),
        ("a: 'x\n\n", (1, 4), "a quoted value is not closed", "end it with the quote"),
        ('a: "x\n---\nb: 1\n', (1, 4), "a quoted value is not closed", "end it with the quote"),
        ("a: !<\n", (1, 6), "this is not valid YAML: while parsing a tag, did not", "compare"),
        ("a: {{ b }}/c\n", (1, 5), "`{{` starts a YAML mapping", "put the whole value in quotes"),
    ],
)
def test_each_mistake_of_syntax_has_its_place_its_words_and_a_remedy(
    text: str, place: tuple[int, int], message: str, remedy: str
) -> None:
    _document, problems = scan(text, "f")

    found = [one for one in problems if one.code in (SYNTAX, "bad-key")][-1]
    assert (found.line, found.column) == place
    assert message in found.message
    assert remedy in found.hint


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: |\n\tx\n", (2, 1)), ("a:\n  b: [\n  \t]]\n", (3, 3)), ("a: 1\n\tb: 2\n", (2, 1))],
)
def test_a_tab_is_told_on_the_line_that_it_indents(text: str, place: tuple[int, int]) -> None:
    assert [(line, column, code) for line, column, code, _ in told(text)] == [
        (*place, "tab-indentation")
    ]


def nested(levels: int) -> str:
    return "a: " + "[" * levels + "]" * levels


def test_values_are_nested_as_deep_as_is_allowed_and_no_deeper() -> None:
    assert told(nested(48)) == []
    assert told(nested(49) + "\n") == []
    deep = "a: " + "[" * 49 + "1" + "]" * 49
    assert told(deep) == [(1, 53, "too-deep", "values are nested more than 50 deep")]
    assert told("[" * 1500) == [(1, 1001, "too-deep", "values are nested too deep")]


def test_as_many_aliases_are_taken_as_is_allowed_and_no_more() -> None:
    assert told("a: &a x\nb: [" + "*a, " * 1000 + "]") == []
    one_more = told("a: &a x\nb: [" + "*a, " * 1001 + "]")
    assert [(code, message) for _, _, code, message in one_more] == [
        ("alias-limit", "the file uses more than 1,000 aliases")
    ]


def test_what_an_alias_stands_for_is_counted_each_time() -> None:
    many = "a: &a [" + "1, " * 998 + "]\n"
    assert told(many + "b: [" + "*a, " * 98 + "]\n") == []
    ((line, _, code, message),) = told(many + "b: [" + "*a, " * 101 + "]\n")
    assert (line, code) == (2, "alias-limit")
    assert message == "the file holds more than 100,000 values after its aliases are expanded"


def test_only_the_first_hundred_problems_of_a_file_are_told() -> None:
    found = told("a: 1\n" * 150)
    assert [line for line, *_ in found] == list(range(2, 102))


def test_a_file_of_the_allowed_size_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * (MAX_BYTES - 5))
    assert read(path) == path.read_bytes()
    assert told(path.read_bytes()) == []

    path.write_bytes(path.read_bytes() + b"#")
    found = read(path)
    assert isinstance(found, Problem)
    assert found.message == "the file is larger than 1 MB"
    assert [code for _, _, code, _ in told(path.read_bytes())] == ["too-large"]


def test_why_a_file_cannot_be_read_is_told(tmp_path: Path) -> None:
    found = read(tmp_path / "missing.yaml")
    assert isinstance(found, Problem)
    assert found.message == "the file cannot be read: no such file or directory"
    assert found.hint == "check its path and permissions"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("null Null NULL ~", None),
        ("true True TRUE", True),
        ("false False FALSE", False),
        (".inf .Inf .INF +.inf +.Inf +.INF", math.inf),
        ("-.inf -.Inf -.INF", -math.inf),
    ],
)
def test_every_spelling_of_a_word_of_yaml_means_the_same(words: str, value: Any) -> None:
    assert [parse(f"a: {word}", "f").data["a"] for word in words.split()] == [value] * len(
        words.split()
    )


def test_every_spelling_of_not_a_number_is_one() -> None:
    assert all(math.isnan(parse(f"a: {word}", "f").data["a"]) for word in (".nan", ".NaN", ".NAN"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!!int 010", 10),
        ("!!float 1", 1.0),
        ("!!float 1.50", 1.5),
        ("!!bool true", True),
        ("!!null ~", None),
        ("!!str 1", "1"),
        ("!!map {}", {}),
        ("!!seq []", []),
    ],
)
def test_a_tag_that_fits_gives_a_value_of_exactly_its_type(text: str, value: Any) -> None:
    data = parse(f"a: {text}", "f").data["a"]
    assert (data, type(data)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!int 1.5", '"1.5" cannot be read as a whole number'),
        ("!!int true", '"true" cannot be read as a whole number'),
        ("!!float x", '"x" cannot be read as a number'),
        (f"!!float {'9' * 400}", f'"{"9" * 59}…" cannot be read as a number'),
        ("!!bool yes", '"yes" cannot be read as true or false'),
        ("!!null x", '"x" cannot be read as null'),
        ("1" * 5000, f'"{"1" * 59}…" cannot be read as a number'),
        ("!!map 5", "the tag !!map does not fit here"),
        ("!!seq {}", "the tag !!seq does not fit here"),
        ("!x 1", "the tag !x does not fit here"),
    ],
)
def test_a_value_that_does_not_fit_its_tag_is_told_with_what_the_tag_takes(
    text: str, message: str
) -> None:
    assert [(line, column, said) for line, column, _, said in told(f"a: {text}")] == [
        (1, 4, message)
    ]


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_what_broke_lines_in_yaml_1_1_is_a_character_like_any(character: str) -> None:
    document = parse(f"a: x{character}y\nb: 1\n", "f")
    assert document.data == {"a": f"x{character}y", "b": 1}
    assert document.at(("b",)) == (2, 4)


def test_what_only_the_slower_parser_takes_cannot_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.declarations.source.builder._Loader", yaml.Loader)

    assert told('a: "\\ud800"\nb: "\\u00fc"\n') == [
        (1, 4, "bad-value", "this text has a character that cannot be stored")
    ]


def test_a_mistake_without_a_place_is_told_at_the_beginning() -> None:
    problem = syntax_problem(yaml.YAMLError("odd"), "a: 1\n", "f.yaml")

    assert (problem.file, problem.line, problem.column, problem.code) == ("f.yaml", 1, 1, SYNTAX)
    assert problem.message == "this is not valid YAML"
    assert problem.hint == "compare this line and the one above it with a file that is valid"
