"""Cells of an xlsx file that the reader of spreadsheets leaves empty, in the file's own words."""

import io
import zipfile

import pytest

from headrace.jobs.files import unread_cells as module
from headrace.jobs.files.unread_cells import Unread, unread_cells

BOOK = '<workbook><sheets><sheet name="A &amp; B" sheetId="1" r:id="r1"/>{}</sheets></workbook>'
LINKS = (
    '<Relationships><Relationship Target="worksheets/one.xml" Id="r1"/>'
    "<Relationship Id = 'r2' Target = '/xl/worksheets/two.xml'/>"
    '<Relationship Id="r3" Target="worksheets/none.xml"/></Relationships>'
)
MORE = "<x:sheet name='two' r:id='r2'/><sheet name=\"none\" r:id=\"r3\"/><sheet name='x'/>"
CELLS = (
    '<row r="1"><c r="A1" t="e"><v>#N/A</v></c><c r="B1"><v>1</v></c></row>'
    '<row r="3"><c r="AB3"><f>1+1</f></c><c r="C3"><f>1+1</f><v>2</v></c>'
    '<c r="D3" t="str"><f>""</f></c><c t="e"><v>#REF!</v></c><c r="E3" s="1"/>'
    '<c r="F3" t="e"></c><x:c r="G3"><x:f>A1</x:f></x:c><c r="H3"><fx/></c></row>'
)
FOUND = [
    Unread(1, 1, "A1", "#N/A"),
    Unread(3, 28, "AB3", ""),
    Unread(3, 6, "F3", ""),
    Unread(3, 7, "G3", ""),
]


def workbook(**parts: str) -> io.BytesIO:
    """A workbook of these parts, their names without folder and ending."""
    names = {"book": "xl/workbook.xml", "links": "xl/_rels/workbook.xml.rels"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, text in parts.items():
            written.writestr(names.get(name, f"xl/worksheets/{name}.xml"), text)
    return file


WHOLE = {"book": BOOK.format(MORE), "links": LINKS, "one": CELLS, "two": CELLS.replace("3", "4")}


def test_errors_and_formulas_without_a_value_are_found_in_their_order() -> None:
    assert list(unread_cells(workbook(**WHOLE), "A & B")) == FOUND
    assert [one.row for one in unread_cells(workbook(**WHOLE), "two")] == [1, 4, 4, 4]


@pytest.mark.parametrize("block", [1, 7, 40, 200])
def test_cells_are_whole_wherever_a_block_ends(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", block)
    assert list(unread_cells(workbook(**WHOLE), "A & B")) == FOUND


@pytest.mark.parametrize("sheet", ["none", "x", "nowhere", "A &amp; B"])
def test_a_sheet_that_is_not_in_the_file_has_none(sheet: str) -> None:
    assert list(unread_cells(workbook(**WHOLE), sheet)) == []


@pytest.mark.parametrize("missing", ["book", "links", "one"])
def test_a_workbook_of_another_format_has_none(missing: str) -> None:
    parts = {name: text for name, text in WHOLE.items() if name != missing}
    assert list(unread_cells(workbook(**parts), "A & B")) == []
    assert list(unread_cells(io.BytesIO(b"PK or not"), "A & B")) == []
