"""No text of others steers a terminal or makes up a line of a log."""

import io
import json
import logging
import re

import pytest

from headrace.cli.printing import print_json, table
from headrace.observe.logs import JsonLines, PlainLines
from headrace.observe.terminal_text import VisibleStream, hanging, visible

ESCAPES = [
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x9d0;title\x9c", "\x08\x08", "\r", "\x7f",
    "\u202e", "\u2066", "\u2028", "\x85",
]  # fmt: skip
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("escape", ESCAPES)
def test_control_characters_are_written_out(escape: str):
    shown = visible(f"a{escape}b")

    assert not RAW.search(shown)
    assert json.loads(f'"{shown}"') == f"a{escape}b"


def test_what_people_write_stays_as_it_is():
    for text in ("plain", "Zürich\tà l'été", "日本 🚂", "two\nlines", r"C:\new"):
        assert visible(text) == text


def test_further_lines_are_set_off():
    assert hanging("one\ntwo\r\nthree", "    ") == "one\n    two\\u000d\n    three"


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_table_and_json_hold_no_raw_escape(escape: str, capsys: pytest.CaptureFixture[str]):
    lines = table([[f"a{escape}b"]], ["NAME"])
    assert not RAW.search("".join(lines))

    print_json({"error": f"a{escape}b"})
    printed = capsys.readouterr().out
    assert not RAW.search(printed)
    assert json.loads(printed) == {"error": f"a{escape}b"}


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_log_line_holds_no_raw_escape(escape: str):
    record = logging.LogRecord("headrace", logging.INFO, "", 1, f"a{escape}b", (), None)
    for formatter in (PlainLines("daemon"), JsonLines("daemon")):
        assert not RAW.search(formatter.format(record))
    assert json.loads(JsonLines("x").format(record))["message"] == f"a{escape}b"


def test_an_error_makes_up_no_line_of_the_log():
    forged = "failed\n12:00:00 daemon   run 7 of payroll completed"
    record = logging.LogRecord("headrace", logging.WARNING, "", 1, "%s", (forged,), None)

    first, second = PlainLines("worker 1").format(record).splitlines()
    assert first.endswith("warning: failed")
    assert second.startswith("         | 12:00:00")
    assert len(JsonLines("worker 1").format(record).splitlines()) == 1


def test_a_stream_for_people_passes_on_all_else():
    below = io.StringIO()
    stream = VisibleStream(below)
    print("a\x1b[2Jb", file=stream, flush=True)

    assert below.getvalue() == "a\\u001b[2Jb\n"
    assert stream.isatty() is False


def test_each_control_and_each_mark_of_direction_is_written_out_and_nothing_else():
    written_out = {code for code in range(0x3000) if visible(chr(code)) != chr(code)}

    controls = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}
    directions = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    assert written_out == controls | directions | {0x2028, 0x2029}


def test_a_stream_for_people_takes_several_texts():
    below = io.StringIO()
    VisibleStream(below).writelines(["a\x1b", "b"])

    assert below.getvalue() == "a\\u001bb"
    assert VisibleStream(below).write("\x1b!") == 2
