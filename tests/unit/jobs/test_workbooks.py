"""Workbooks in other forms than Excel's, and damaged ones."""

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import openpyxl
import pytest

from headrace.errors import JobFailure
from headrace.jobs.files.columnar_files import open_sheet
from headrace.jobs.files.text_files import FileSource

OFFICE = "urn:oasis:names:tc:opendocument:xmlns:"
CELL = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'


def rows_of(content: bytes) -> list[dict[str, Any]]:
    source = FileSource("f", lambda: io.BytesIO(content))
    with open_sheet(source, None, 0, header=True) as sheet:
        assert sheet.names == ["id", "n"]
        return [row for batch in sheet.batches for row in batch.to_pylist()]


def archive(parts: Mapping[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return made.getvalue()


def of_libreoffice(*rows: tuple[str, ...]) -> bytes:
    cells = "".join(
        f"<table:table-row>{''.join(map(CELL.format, row))}</table:table-row>" for row in rows
    )
    names = " ".join(f'xmlns:{name}="{OFFICE}{name}:1.0"' for name in ("office", "table", "text"))
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": f'<manifest xmlns="{OFFICE}manifest:1.0"/>',
            "content.xml": f"<office:document-content {names}><office:body><office:spreadsheet>"
            f'<table:table table:name="one">{cells}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        }
    )


def of_excel() -> bytes:
    book, made = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append(["id", "n"])
    book.active.append([1, "#N/A"])
    book.active["B2"].data_type = "e"
    book.save(made)
    return made.getvalue()


def test_a_workbook_of_another_form_is_read_without_a_look_for_errors() -> None:
    assert rows_of(of_libreoffice(("id", "n"), ("1", "a"))) == [{"0": "1", "1": "a"}]


def test_an_error_is_the_text_that_it_is_shown_as() -> None:
    assert rows_of(of_excel()) == [{"0": "1", "1": "#N/A"}]


def test_a_formula_before_the_first_column_that_is_read_is_in_no_other_column() -> None:
    book, made = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append([None, "id", "n"])
    book.active.append(["=1+1", 1, 2])
    book.save(made)

    assert rows_of(made.getvalue()) == [{"0": "1", "1": "2"}]


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/_rels/workbook.xml.rels"])
def test_a_part_that_is_damaged_is_told_although_the_rows_can_be_read(part: str) -> None:
    content = of_excel()
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        checksum = book.getinfo(part).CRC
    damaged = content.replace(struct.pack("<L", checksum), struct.pack("<L", checksum ^ 1))

    told = f"f: is no spreadsheet that can be read: Bad CRC-32 for file '{part}'"
    with pytest.raises(JobFailure, match=f"^{re.escape(told)}$"):
        rows_of(damaged)
