"""What a file is, and the text in it: told by its content, packed or not, or refused with why."""

import bz2
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import zstandard

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi.folders import MissingFile
from headrace.jobs.copying.file_reading import Reading
from headrace.jobs.copying.name_rules import EVERY_NAME
from headrace.jobs.copying.source_files import data_file
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.csv_header import pass_first, pass_lines, read_names
from headrace.jobs.files.file_formats import format_by_name, format_of
from headrace.jobs.files.json_document import items
from headrace.jobs.files.optional_library import library
from headrace.jobs.files.packing import (
    name_inside,
    packed,
    packing_by_content,
    packing_by_name,
    unpacked,
)
from headrace.jobs.files.text_files import FileSource, codec_of, foreign_kind, open_text


def gzipped(content: bytes) -> bytes:
    """The same at any time: names of tests hold it, on which all processes have to agree."""
    return gzip.compress(content, mtime=0)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzipped,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def source(content: bytes, name: str = "f") -> FileSource:
    @contextmanager
    def opened():
        yield io.BytesIO(content)

    return FileSource(name, opened)


def text_in(content: bytes, encoding: str | None = None) -> str:
    with open_text(source(content), encoding) as text:
        return text.read()


# -- packing ------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", [*PACKERS, "zip", "none"])
def test_what_is_packed_is_unpacked_and_the_same_content_makes_the_same_file(packing, tmp_path):
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        with path.open("wb") as file, packed(file, packing, "inside.csv") as plain:
            plain.write(b"a,b\n1,2\n")

    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert packing_by_content(first) == packing
    with unpacked(io.BytesIO(first), "f") as plain:
        assert plain.read() == b"a,b\n1,2\n"


def test_a_packed_file_in_a_zip_has_the_name_that_it_is_given():
    file = io.BytesIO()
    with packed(file, "zip", "inside.csv") as plain:
        plain.write(b"a\n" * 1000)

    with zipfile.ZipFile(file) as archive:
        (member,) = archive.infolist()
    assert (member.filename, member.compress_type) == ("inside.csv", zipfile.ZIP_DEFLATED)


def test_zstd_of_several_frames_is_read_to_its_end():
    content = PACKERS["zst"](b"one\n") + PACKERS["zst"](b"two\n" * 100_000)

    with unpacked(io.BytesIO(content), "f") as plain:
        assert plain.read() == b"one\n" + b"two\n" * 100_000
        assert (plain.read(1), plain.readline()) == (b"", b""), "the end is the end"


def test_a_frame_of_zstd_that_is_read_piece_by_piece_is_one():
    content = random.Random(7).randbytes(700_000)

    with unpacked(io.BytesIO(PACKERS["zst"](content)), "f") as plain:
        assert plain.read() == content


@pytest.mark.parametrize(
    ("packing", "name"), [("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz"), ("zst", "zstd")]
)
def test_a_file_that_is_cut_short_is_told_by_its_packing(packing, name):
    content = PACKERS[packing](bytes(range(256)) * 99)[:-9]

    with pytest.raises(JobFailure) as refused, unpacked(io.BytesIO(content), "f") as plain:
        plain.read()

    told = f"f: is truncated: its {name} stream ends before its end mark"
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x1f\x8b\x00\x00" + b"x" * 20, "gzip"),
        (gzipped(b"a")[:10] + b"\xff" * 20, "gzip"),
        (b"BZh9" + b"x" * 40, "bzip2"),
        (b"\xfd7zXZ\x00" + b"x" * 40, "xz"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "zstd"),
        (b"PK\x03\x04" + b"x" * 40, "zip"),
    ],
)
def test_a_damaged_file_is_told_by_its_packing(content, name):
    with pytest.raises(JobFailure) as refused, unpacked(io.BytesIO(content), "f") as plain:
        plain.read()

    assert str(refused.value).startswith(f"f: its {name} stream is damaged: ")


def test_another_error_of_the_file_system_stays_what_it_is():
    with (
        pytest.raises(OSError, match=r"^the disk is gone$"),
        unpacked(io.BytesIO(PACKERS["bz2"](b"a")), "f"),
    ):
        raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([], "holds 0 files (nothing)"),
        ([("a", b"1"), ("b", b"2")], "holds 2 files (a, b)"),
        ([(str(n), b"") for n in range(7)], "holds 7 files (0, 1, 2, 3, 4 and 2 more)"),
        ([("folder/", b"")], "holds 0 files (nothing)"),
    ],
)
def test_a_zip_archive_holds_one_file(members, told):
    with pytest.raises(JobFailure) as refused, unpacked(io.BytesIO(zipped(*members)), "f"):
        pass

    end = ", and one is expected: pack each file alone"
    assert str(refused.value) == f"f: the zip archive {told}{end}"


def test_folders_and_what_a_mac_adds_do_not_count_in_a_zip_archive():
    content = zipped(("d/", b""), ("d/a.csv", b"x\n"), ("__MACOSX/d/._a.csv", b"?"))

    with unpacked(io.BytesIO(content), "f") as plain:
        assert plain.read() == b"x\n"


def test_an_encrypted_zip_archive_is_refused():
    content = bytearray(zipped(("a", b"1")))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1

    told = r"^f: a in the zip archive is encrypted$"
    with pytest.raises(JobFailure, match=told), unpacked(io.BytesIO(bytes(content)), "f"):
        pass


@pytest.mark.parametrize(
    ("start", "packing"), [(b"BZh0", "none"), (b"BZh1", "bz2"), (b"BZhx", "none"), (b"", "none")]
)
def test_a_text_that_begins_like_bzip2_is_a_text(start, packing):
    assert packing_by_content(start) == packing


@pytest.mark.parametrize(
    ("name", "packing", "inside"),
    [
        ("a.csv.gz", "gz", "a.csv"),
        ("a.tgz", "gz", "a"),
        ("a.csv.ZST", "zst", "a.csv"),
        ("a.zstd", "zst", "a"),
        ("a.bz2", "bz2", "a"),
        ("a.xz", "xz", "a"),
        ("a.zip", "zip", "a"),
        ("a.csv", "none", "a.csv"),
        ("gz", "gz", "gz"),
    ],
)
def test_a_name_tells_how_its_file_is_packed(name, packing, inside):
    assert (packing_by_name(name), name_inside(name)) == (packing, inside)


# -- formats ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("a.csv", "csv"), ("a.TSV", "tsv"), ("a.tab", "tsv"), ("a.json", "json"),
        ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("a.parquet", "parquet"), ("a.pq", "parquet"),
        ("a.xlsx", "xlsx"), ("a.xlsm", "xlsx"), ("a.xls", "xlsx"), ("a.xlsb", "xlsx"),
        ("a.ods", "xlsx"), ("a.csv.gz", "csv"), ("a.txt", None), ("a", None),
    ],
)  # fmt: skip
def test_a_name_tells_the_format(name, format_):
    assert format_by_name(name) == format_
    assert format_of(source(b"a,b\n", name), None) == (format_ or "csv")


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        (zipped(("xl/workbook.xml", b"")), "xlsx"),
        (zipped(("xl/workbook.bin", b"")), "xlsx"),
        (zipped(("x", b""), ("content.xml", b"")), "xlsx"),
        (b"\xd0\xcf\x11\xe0 an old workbook", "xlsx"),
        (b"PAR1\x15\x00" + b"x" * 70, "parquet"),
        (gzipped(b"PAR1\x15\x00"), "parquet"),
    ],
)
def test_the_content_tells_the_format_whatever_is_said(content, format_):
    assert format_of(source(content, "a.csv"), "json") == format_


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1,b\n1,2\n",
        b"PAR1,b\n1,2\n" + b"x" * 60 + b"\x00",
        zipped(("a.json", b"[]")),
        gzipped(b"[]"),
        b"[]",
    ],
)
def test_what_was_said_decides_where_the_content_does_not(content):
    assert format_of(source(content, "a.csv"), "json") == "json"
    assert format_of(source(content, "a.csv"), None) == "csv"


def test_a_broken_archive_is_told_before_its_format_is_asked():
    with pytest.raises(JobFailure, match=r"^f: its zip stream is damaged: "):
        format_of(source(b"PK\x03\x04 no archive"), None)


# -- encodings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("größe".encode(), None),
        ("größe".encode("utf-8-sig"), None),
        ("größe".encode("utf-8-sig"), "utf-8"),
        ("größe".encode("utf-16"), None),
        (b"\xfe\xff" + "größe".encode("utf-16-be"), None),
        ("größe".encode("utf-32"), None),
        (b"\x00\x00\xfe\xff" + "größe".encode("utf-32-be"), None),
        ("größe".encode("cp1252"), "WIN1252"),
        ("größe".encode("latin1"), "latin1"),
        ("größe".encode("utf-16-le"), "utf-16-le"),
    ],
)
def test_a_text_is_read_in_the_encoding_that_its_mark_or_the_step_says(content, encoding):
    assert text_in(content, encoding) == "größe"


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        (
            "a\ngröße\n".encode("latin1"),
            None,
            (
                "f:2: is not UTF-8: byte 0xf6 at character 3 of the line; it looks like latin1: "
                "set encoding: latin1"
            ),
        ),
        (
            "5 €\n".encode("cp1252"),
            None,
            (
                "f:1: is not UTF-8: byte 0x80 at character 3 of the line; it looks like "
                "windows-1252: set encoding: windows-1252"
            ),
        ),
        (b"\x9f\n", None, "it looks like windows-1252: set encoding: windows-1252"),
        (b"\xa0\n", None, "it looks like latin1: set encoding: latin1"),
        ("ä".encode(), "ascii", "f:1: is not ASCII: byte 0xc3 at character 1 of the line; it"),
        (
            "a\nb\n".encode("utf-16") + b"\x00\xdc",
            None,
            "f:3: is not UTF-16: illegal encoding: the file is damaged or cut short; write it",
        ),
        ("a\n".encode("utf-16") + b"b", None, "f:2: is not UTF-16: truncated data"),
        ("ab\n".encode("utf-32-be") + b"\0\x11\0\0", "utf-32-be", "f:2: is not UTF-32-BE: "),
        (b"a\x00b\x00", "utf-16", "f: is not utf-16: UTF-16 stream does not start with BOM"),
        (b"a\x00b\x00", None, "is UTF-16 without a byte order mark: set encoding: utf-16-le"),
        (b"\x00a\x00b", None, "is UTF-16 without a byte order mark: set encoding: utf-16-be"),
        (b"ab\nc\x00d\nefgh", None, "f:2: is not a text: it contains NUL bytes"),
        (b"\x00a\n", None, "f:1: is not a text: it contains NUL bytes"),
        (b"7z\xbc\xaf\x27\x1c", None, "f: is a 7z archive, and no text: unpack or convert it"),
        (b"\x04\x22\x4d\x18", None, "f: is compressed with lz4, and no text"),
        (b"\x1f\x9d", None, "f: is compressed with compress, and no text"),
        (b"SQLite format 3\x00", None, "f: is an SQLite database, and no text"),
        (b"PAR1\x15\x04", None, "f: is a Parquet file, and no text"),
        (b"\xd0\xcf\x11\xe0", None, "f: is an old Excel file, and no text"),
        (gzipped(zipped(("a", b""))), None, "f: is a zip archive (or a spreadsheet"),
        (gzipped(PACKERS["zst"](b"a")), None, "f: is compressed with zstd, and no text"),
        (gzipped(PACKERS["bz2"](b"a")), None, "f: is compressed with bzip2, and no text"),
        (gzipped(PACKERS["xz"](b"a")), None, "f: is compressed with xz, and no text"),
        (gzipped(zipped()), None, "f: is an empty zip archive, and no text"),
    ],
)
def test_what_is_no_text_in_its_encoding_is_told_with_its_place(content, encoding, told):
    with pytest.raises(JobFailure) as refused:
        text_in(content, encoding)

    assert told in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_file_that_is_mended_while_it_is_told_has_no_place(encoding):
    contents = iter([b"\xff\xd8\xff", "ab".encode(encoding), "ab".encode(encoding)])

    @contextmanager
    def opened():
        yield io.BytesIO(next(contents))

    with (
        pytest.raises(JobFailure) as refused,
        open_text(FileSource("f", opened), encoding) as text,
    ):
        text.read()

    assert str(refused.value) == f"f: is not {encoding.upper()}"


def test_a_file_that_is_not_there_has_no_size(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert FileSource.at(tmp_path / "a", "a").size_bytes == 3
    assert FileSource.at(tmp_path / "b", "b").size_bytes is None


@pytest.mark.parametrize("declared", [None, "csv", "parquet"])
def test_a_file_that_is_gone_once_it_was_found_is_told(tmp_path, declared):
    gone = FileSource.at(tmp_path / "a", "in/a")
    with pytest.raises(MissingFile) as missing:
        data_file(gone, declared, None, Reading(CsvForm(), EVERY_NAME, ()))
    assert str(missing.value) == 'there is no file "in/a": No such file or directory'


def test_a_library_that_lacks_another_one_is_not_told_as_missing(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "half_installed.py").write_text("import nowhere_at_all")

    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        library("half_installed", "reading")
    with pytest.raises(JobFailure) as missing:
        library("nowhere_at_all.below", "reading", "remote")
    assert str(missing.value) == (
        "reading needs the library nowhere_at_all, which is not installed:"
        " pip install 'headrace[remote]'"
    )


def test_a_column_may_be_called_as_a_kind_of_file():
    assert foreign_kind(b"PAR1,b\n1,2\n") is None
    assert foreign_kind(b"BZhausen,b\n1,2\n") is None
    assert text_in(b"PAR1,b\n") == "PAR1,b\n"


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("UTF8", "utf-8-sig"), ("win1252", "cp1252"), ("WIN874", "cp874"), ("LATIN1", "iso8859-1"),
    ],
)  # fmt: skip
def test_an_encoding_is_called_as_postgresql_or_python_call_it(encoding, codec):
    assert codec_of(encoding) == codec


@pytest.mark.parametrize("encoding", ["martian", "win99999", "base64", "hex", "undefined", "a\0"])
def test_what_is_no_encoding_of_texts_is_refused(encoding):
    with pytest.raises(InvalidPayload) as refused:
        codec_of(encoding)

    told = f"encoding: {encoding!r} is not known: use one such as "
    assert str(refused.value).startswith(told)


# -- headers of CSV -----------------------------------------------------------------------


def names(text: str, **form: object):
    return read_names(io.StringIO(text, newline=""), "f", CsvForm(**form))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        ("a,b\n1,2\n", {}, (["a", "b"], 1, 1, False)),
        ("a\n", {}, (["a"], 1, 1, False)),
        (",b\n", {}, (["", "b"], 1, 1, False)),
        ("a", {}, (["a"], 1, 1, False)),
        (" a ;b;\r\n", {"delimiter": ";"}, (["a", "b", ""], 1, 1, False)),
        ('"a ""x""",b\n', {}, (['a "x"', "b"], 1, 1, False)),
        ('"a\nb",c\n', {}, (["a\nb", "c"], 1, 2, False)),
        ('"a,b"\n', {}, (["a,b"], 1, 1, False)),
        ("'a',b\n", {"quote": "'"}, (["a", "b"], 1, 1, False)),
        ("made by x\n\n# why\na\n", {"skip_lines": 2, "comment": "#"}, (["a"], 4, 4, False)),
        ("#1\n#2\na\n", {"comment": "#"}, (["a"], 3, 3, False)),
        ("#1\na\n", {}, (["#1"], 1, 1, False)),
        ("a,b\r", {}, (["a", "b"], 1, 1, True)),
    ],
)
def test_the_first_record_has_the_names(text, form, found):
    assert names(text, **form) == found


@pytest.mark.parametrize(
    ("text", "form", "told"),
    [
        ("", {}, "f: the file is empty, a header was expected"),
        ("\na\n", {}, "f: begins with an empty line, a header was expected"),
        ("x\n", {"skip_lines": 1}, "f: the file is empty, a header was expected"),
        ('#\n"a,b\n', {"comment": "#"}, "f:2: a quoted name in the header is never closed"),
        ('a"b"\n', {}, "f:1: a quote is inside a name of the header: 'a\"b\"'"),
        ('"a"b\n', {}, "f:1: a quote is inside a name of the header: 'a'"),
    ],
)
def test_a_header_that_is_none_is_told_with_its_line(text, form, told):
    with pytest.raises(JobFailure) as refused:
        names(text, **form)

    assert str(refused.value) == told


def test_lines_before_the_records_are_passed_over_and_counted():
    text = io.StringIO("1\n2\n#3\n4\n5\n")
    assert pass_lines(text, 2, "#") == (3, "4\n")
    assert pass_first(text, 3) == 1
    assert pass_lines(io.StringIO("#\n#\n"), 0, "#") == (2, "")
    assert pass_lines(io.StringIO("#\n"), 0, None) == (0, "#\n")


# -- JSON documents -----------------------------------------------------------------------


class Slow(io.StringIO):
    """A text that comes a character at a time."""

    def read(self, _size: int | None = -1, /) -> str:
        return super().read(1)


@pytest.mark.parametrize("file", [io.StringIO, Slow])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]", []),
        (" [ ] \n", []),
        ('[{"a": 1}, {"b":\n 2}\n]\n', [(1, '{"a": 1}'), (1, '{"b":\n 2}')]),
        ('\n[\n1,\n\n"x",\ntrue]', [(3, "1"), (5, '"x"'), (6, "true")]),
        ("[12345, 7]", [(1, "12345"), (1, "7")]),
        ("[1,2]", [(1, "1"), (1, "2")]),
        ('{"a": [1]} ', [(1, '{"a": [1]}')]),
    ],
)
def test_a_document_is_read_item_by_item_with_its_line(file, text, found):
    assert list(items(file(text), "f")) == found


@pytest.mark.parametrize("file", [io.StringIO, Slow])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "f: is empty: a JSON document with rows is a list of objects"),
        ("7", "f: begins with '7': a JSON document with rows is a list of objects"),
        ('{"a": 1}\n{"a": 2}', "f:2: there is more behind the object: a file with one object a"),
        ("[1]\n]", "f:2: there is more behind the end of the list"),
        ("[]\n1", "f:2: there is more behind the end of the list"),
        ("[]1", "f:1: there is more behind the end of the list"),
        ("[1]2", "f:1: there is more behind the end of the list"),
        ("[1\n2]", "f:2: there is '2' where a comma or ] was expected"),
        ("[1\n", "f:2: the document ends early where a comma or ] was expected"),
        ("[1,\n", "f:2: no JSON: the document ends early"),
        ('[{"a":\n1', "f:2: no JSON: the document ends early"),
        ("[" * 99_999, "f:1: the JSON is nested too deeply"),
    ],
)
def test_a_damaged_document_is_told_with_its_line(file, text, told):
    if file is Slow and len(text) > 99:
        text = text[:1]  # Deep nesting is found in what has come.
        told = "f:1: no JSON: the document ends early"
    with pytest.raises(JobFailure) as refused:
        list(items(file(text), "f"))

    assert told in str(refused.value)


def test_a_document_that_is_damaged_early_is_not_read_to_its_end():
    text = io.StringIO('[{"a": x}' + " " * 99 + "\n" * (1 << 18))

    with pytest.raises(JobFailure, match=r"^f:1: no JSON: Expecting value$"):
        list(items(text, "f"))

    assert text.tell() == 1 << 18
