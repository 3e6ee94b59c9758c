"""Records of JSON and CSV as COPY reads them, and the words for those that are none."""

import io

import pytest

from headrace.errors import JobFailure
from headrace.jobs.files import csv_records
from headrace.jobs.files.careful_csv import careful_records
from headrace.jobs.files.column_shapes import SCALAR, Shape
from headrace.jobs.files.copy_streams import Lines, refuse_short_year
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.csv_records import CsvRecords, breaks_in_first
from headrace.jobs.files.escaped_records import EscapedRecords
from headrace.jobs.files.json_records import NULL, Field, JsonRecords, Keys, keys_in
from headrace.jobs.files.json_text import as_text, items_of, values_of, whole
from headrace.jobs.files.value_forms import of_date, of_number

INTS = Shape("array")
POINT = Shape("composite", fields=(("x", SCALAR), ("y", SCALAR)))

# -- values of JSON -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shape", "text"),
    [
        ("null", SCALAR, None),
        ("null", Shape("json"), None),
        ('"a\\"b"', SCALAR, 'a"b'),
        ('"a"', Shape("json"), '"a"'),
        ("1.10", SCALAR, "1.10"),
        ('{"a": 1}', SCALAR, '{"a": 1}'),
        ("[ 1 , 2 ]", INTS, "{1,2}"),
        ("[]", INTS, "{}"),
        ("[[1, 2], [3, 4]]", INTS, "{{1,2},{3,4}}"),
        ("[[1], 2]", INTS, '{[1],2}'),
        ('[null, "null", "NULL", "a b", "", "a,b", "\\\\"]', INTS,
         '{NULL,"null","NULL","a b","","a,b","\\\\"}'),
        ("[1, 2]", Shape("array", delimiter=";"), "{1;2}"),
        ("[[1, 2]]", Shape("array", Shape("json")), '{"[1, 2]"}'),
        ('[{"x": 1}]', Shape("array", POINT), '{"(\\"1\\",)"}'),
        ("[1, null, 3]", Shape("vector"), "1  3"),
        ('{"y": "b\\"", "x": null}', POINT, '(,"b\\"")'),
        ('{"a": 1, "b": null, "c\\"": "x"}', Shape("hstore"), '"a"=>"1", "b"=>NULL, "c\\""=>"x"'),
        ("7", INTS, "7"),
        ("7", POINT, "7"),
        ("7", Shape("hstore"), "7"),
    ],
)  # fmt: skip
def test_a_json_value_is_written_as_its_type_is_read(raw, shape, text):
    assert as_text(raw, shape) == text


def test_a_field_that_a_row_has_not_is_refused():
    with pytest.raises(ValueError, match=r"^the row has no field 'z'; it has: x, y$"):
        as_text('{"z": 1}', POINT)


def test_parts_of_a_document_stay_as_they_are_written():
    assert whole(' \n{"a": 1.0}\t') == '{"a": 1.0}'
    assert values_of(' { "a" : 1.0 , "b":[ 1 ],"c" :"}"} ') == {
        "a": "1.0",
        "b": "[ 1 ]",
        "c": '"}"',
    }
    assert items_of('[ 1.0 ,{ }, "]" ,true]') == ["1.0", "{ }", '"]"', "true"]


# -- JSON Lines ---------------------------------------------------------------------------


def rows_of(*lines: str, fields: list[Field] | None = None, keys: Keys | None = None, **more):
    fields = fields or [Field("a"), Field("b")]
    keys = keys or Keys("f", [field.name for field in fields], "t")
    records = JsonRecords(enumerate(lines, 1), "f", fields, keys, place=Lines(), **more)
    return "".join(iter(records.read, "")), records


def test_a_record_becomes_a_line_of_copy():
    text, records = rows_of(
        '{"b": false, "A": "x\\ty\\\\\\n"}', "", " \n", '{"a": 1e5, "b": {"c": "\\t"}}'
    )

    assert text == "x\\ty\\\\\\n\tfalse\n1e5\t" + '{"c": "\\\\t"}' + "\n"
    assert (records.rows, records.seen) == (2, {0, 1})
    assert (records.lines.left_out, records.lines.in_file(2)) == (2, 4)


def test_a_record_tells_its_line_and_what_it_lacks():
    text, _ = rows_of(
        '{"a": null}', "", '{"b": 1, "a": 2}', adds_line=True, lists_absent=True,
        fields=[Field("a"), Field("b", absent="7")],
    )  # fmt: skip

    assert text == f"{NULL}\t7\t1\t,1,\n2\t1\t3\t{NULL}\n"


def test_rows_come_in_pieces():
    fields = [Field("a")]
    record = '{"a": "' + "x" * (1 << 15) + '"}'
    lines = enumerate([record] * 3, 1)
    records = JsonRecords(lines, "f", fields, Keys("f", ["a"], "t"), place=Lines())

    assert [piece.count("\n") for piece in iter(records.read, "")] == [2, 1]


def test_a_text_is_rewritten_and_a_number_is_not():
    fields = [Field("a", rewrite=of_number(",", "."))]
    assert rows_of('{"a": "1.234,5"}', '{"a": 1.5}', fields=fields)[0] == "1234.5\n1.5\n"


@pytest.mark.parametrize(
    ("line", "more", "told"),
    [
        ("{}", {}, "f:1: the object has no keys"),
        ('{"a": 1, "A": 2}', {}, "f:1: 'A' and another key mean the same column 'a'"),
        ('{"a": 1, "a": 2}', {}, "f:1: the key 'a' occurs twice in the object"),
        ('{"a": {"x": 1, "x": 2}, "b": 1, "b": 2}', {}, "f:1: the key 'b' occurs twice in"),
        ('{"a": "\\ud800"}', {}, "f:1: holds half a character ('\\ud800', a lone surrogate)"),
        ("[1]", {}, "f:1: no JSON object but [1]"),
        ("{'a': 1}", {}, "f:1: no JSON: Expecting property name enclosed in double quotes"),
        ("[" * 99_999, {}, "f:1: the JSON is nested too deeply"),
        ('{"z": 1}', {}, "f:1: no column for 'z': t takes a, b; add the column, remove the key"),
        (
            '{"z": 1}',
            {"keys": Keys("f", ["a", "b"], "t", leave_out=True)},
            'f:1: the object has none of the columns that are wanted, so it is no row: {"z": 1}',
        ),
        (
            '{"a": {"z": 1}}',
            {"fields": [Field("a", POINT)]},
            "f:1: column a: the row has no field 'z'; it has: x, y",
        ),
        (
            '{"a": "x"}',
            {"fields": [Field("a", rewrite=of_number(",", None))]},
            "f:1: column a: 'x' is not a number with the decimal mark ','",
        ),
    ],
)
def test_what_is_no_record_is_told_with_its_line(line, more, told):
    with pytest.raises(JobFailure) as refused:
        rows_of(line, **more)

    assert str(refused.value).startswith(told)


def test_keys_that_no_column_has_are_left_out_and_known():
    keys = Keys("f", ["a", "b"], "t", leave_out=True)
    assert (
        rows_of('{"a": 1, "z": 2}', '{"B": 1, "y": 2}', keys=keys)[0] == f"1\t{NULL}\n{NULL}\t1\n"
    )
    assert list(keys.left_out) == ["z", "y"]


def test_keys_are_renamed_before_their_columns_are_looked_up():
    named = {"x": "a", "y": "B", "z": None}
    keys = Keys("f", ["a", "b"], "t", rename=named.get)
    assert rows_of('{"x": 1, "y": 2, "z": 3}', keys=keys)[0] == "1\t2\n"


def test_an_exact_name_comes_before_one_in_another_case():
    fields = [Field("ab"), Field("Ab")]
    assert rows_of('{"Ab": 1, "ab": 2}', fields=fields)[0] == "2\t1\n"
    swapped = Keys("f", ["a", "b"], "t", rename={"a": "b", "b": "a"}.get)
    assert rows_of('{"a": 1, "b": 2}', keys=swapped)[0] == "2\t1\n"


def test_two_columns_that_differ_in_case_only_are_not_guessed():
    with pytest.raises(JobFailure, match=r"^f:1: no column for 'AB': t takes ab, Ab; add"):
        rows_of('{"AB": 1}', fields=[Field("ab"), Field("Ab")])


def test_a_short_year_is_refused_in_a_column_of_dates_where_it_is_asked():
    fields = [Field("a", Shape(is_date=True)), Field("b")]
    keys = Keys("f", ["a", "b"], "t")
    lines = [(1, '{"a": "03/02/04", "b": "03/02/04"}')]
    records = JsonRecords(lines, "f", fields, keys, place=Lines())
    assert records.read() == "03/02/04\t03/02/04\n"
    records = JsonRecords(lines, "f", fields, keys, place=Lines())
    records.refuses_short_years = True
    with pytest.raises(JobFailure, match=r'^f:1: column a: which day is "03/02/04"\?'):
        records.read()


@pytest.mark.parametrize("written", ["2026-02-03", "03/02/2026", "1/2-3", "03/02/045", "x 1/2/3"])
def test_a_date_that_tells_its_year_is_none_of_them(written):
    refuse_short_year(written, "f:1", "c")


def test_all_keys_are_known_in_the_order_in_which_they_come():
    assert keys_in(enumerate(['{"b": 1}', "", '{"a": 1, "b": 2}'], 1), "f") == ["b", "a"]


# -- CSV ----------------------------------------------------------------------------------


def csv_of(text: str, form: CsvForm = CsvForm(), *, one_column: bool = False, **more):  # noqa: B008
    records = CsvRecords(
        io.StringIO(text, newline=""), "f", form, Lines(before=1), one_column=one_column, **more
    )
    return "".join(iter(records.read, "")), records


@pytest.fixture(params=[1, 3, 1 << 18])
def block(request, monkeypatch):
    monkeypatch.setattr(CsvRecords._block, "__defaults__", (request.param,))


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("text", "more", "passed", "rows"),
    [
        ("1,a\n2,b", {}, "1,a\n2,b", 2),
        ("1,a\r\n2,b\r\n", {}, "1,a\n2,b\n", 2),
        ('1,"a\r\nb"\r\n', {}, '1,"a\r\nb"\n', 1),
        ('1,"a ""b"", c"\n2,""\n', {}, '1,"a ""b"", c"\n2,""\n', 2),
        ("\n1,a\n\n\n2,b\n\n", {}, "1,a\n2,b\n", 2),
        ("1\n\n2\n", {"one_column": True}, "1\n\n2\n", 3),
        ("\\.\n", {"one_column": True}, '"\\."\n', 1),
        ('1,"\n\\.\n"\n', {}, '1,"\n\\.\n"\n', 1),
        ("1,\\.\n", {}, "1,\\.\n", 1),
        ("#x\n1,a\n#y\n2,#b\n", {"form": CsvForm(comment="#")}, "1,a\n2,#b\n", 2),
        ('1,"\n#y\n"\n', {"form": CsvForm(comment="#")}, '1,"\n#y\n"\n', 1),
        ("#x\n", {}, "#x\n", 1),
        ("1,a,\n2,b,", {"unnamed_last": True}, "1,a\n2,b", 2),
        ('1,"a,\n",\n', {"unnamed_last": True}, '1,"a,\n"\n', 1),
        ("1,a\r2,b\r", {"old_mac": True}, "1,a\n2,b\n", 2),
        ("1;'a;\n'\n", {"form": CsvForm(delimiter=";", quote="'")}, "1;'a;\n'\n", 1),
    ],
)
def test_csv_is_passed_on_as_copy_reads_it(text, more, passed, rows):
    found, records = csv_of(text, **more)

    assert (found, records.rows) == (passed, rows)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ('1,a\n2,5" pipe\n', {}, "f:3: a quote is inside a field."),
        ('1,"a"b\n', {}, "f:2: a quote is inside a field."),
        ('1,"a\nb"c\n', {}, "f:3: a quote is inside a field."),
        ('1,a\n2,"b"\n3,"c" \n', {}, "f:4: a quote is inside a field."),
        ('1,a\n2,"b\n3,c\n', {}, "f:3: a quoted field begins here and is never closed"),
        ('1,"x"\n2,"b\n3,c', {}, "f:3: a quoted field begins here and is never closed"),
        ("1,a\n2,b\rc\n", {}, "f:3: there is a carriage return in the line: write the field in"),
        ('1,"a"\n2,b\rc\n', {}, "f:3: there is a carriage return in the line"),
        ("1,a,\n2,b,c\n", {"unnamed_last": True}, "f:3: there is a value in the last column,"),
    ],
)
def test_what_copy_would_misread_is_told_with_its_line(text, more, told):
    with pytest.raises(JobFailure) as refused:
        csv_of(text, **more)

    assert str(refused.value).startswith(told)


def test_a_line_without_an_end_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr(CsvRecords._block, "__defaults__", (4,))
    monkeypatch.setattr(csv_records, "_LONGEST_LINE", 4)
    with pytest.raises(JobFailure, match=r"^f:3: a line has over 256 M characters$"):
        csv_of("1,a\n2,bcdefgh\n")


def test_the_servers_line_is_found_in_the_file():
    _, records = csv_of('1,"a\n\nb"\n\n2,b\n\n\n3,c\n')

    lines = records.lines
    # Behind the header: the first record has two breaks, which the server does not count.
    assert (lines.first_breaks, lines.left_out) == (2, 3)
    assert [lines.in_file(number) for number in (1, 2, 3)] == [2, 6, 9]


@pytest.mark.parametrize(
    ("text", "breaks"),
    [("a,b\n1,2\n", 0), ('"a\nb"\n"c\nd"\n', 1), ('x,"a\n","\n"\n', 2), ('"a\nb"', 1)],
)
def test_only_the_first_records_breaks_are_counted(text, breaks):
    assert breaks_in_first(text, '"') == breaks


def test_the_first_records_show_how_a_file_writes_its_dates():
    text, _ = csv_of("1,03/02/04\n", dates={1: "d", 7: "gone"})
    assert text == "1,03/02/04\n"
    records = CsvRecords(
        io.StringIO('1,2026-01-01\n"a\nb",03/02/04\n', newline=""), "f", CsvForm(),
        Lines(before=1), one_column=False, dates={1: "d"},
    )  # fmt: skip
    records.refuses_short_years = True
    with pytest.raises(JobFailure, match=r'^f:4: column d: which day is "03/02/04"\?'):
        records.read()


# -- CSV, record by record ----------------------------------------------------------------


def careful(text: str, form: CsvForm = CsvForm(), width: int = 2):  # noqa: B008
    found = careful_records(io.StringIO(text, newline=""), form, width, 2, "f")
    return [(one.line, one.values or one.reason) for one in found]


QUOTE = "a quote is inside a field"


@pytest.mark.parametrize(
    ("text", "more", "records"),
    [
        ("1,a\n\n2,\n", {}, [(2, ("1", "a")), (4, ("2", None))]),
        ('1,""\n', {}, [(2, ("1", ""))]),
        ('1,"a\nb"\n2,b\n', {}, [(2, ("1", "a\nb")), (4, ("2", "b"))]),
        ("1,a,x\n2,b\n3\n", {}, [
            (2, "the record has 3 fields instead of 2"), (3, ("2", "b")),
            (4, "the record has 1 fields instead of 2"),
        ]),
        ('1,5" pipe\n2,b\n', {}, [(2, QUOTE), (3, ("2", "b"))]),
        ('1,"a"b\n2,"b"\n', {}, [(2, QUOTE), (3, ("2", "b"))]),
        ('1,"a\n2,b\n', {}, [
            (2, "a quoted field begins here and is never closed"), (3, ("2", "b")),
        ]),
        ("#1,a\n2,b\n", {"form": CsvForm(comment="#")}, [(3, ("2", "b"))]),
        ("1,a\r\n2,b", {}, [(2, ("1", "a")), (3, ("2", "b"))]),
        ("a\n\nb\n", {"width": 1}, [(2, ("a",)), (3, (None,)), (4, ("b",))]),
        ("1;'a;b'\n", {"form": CsvForm(delimiter=";", quote="'")}, [(2, ("1", "a;b"))]),
        ('1,"a\\"b"\n', {"form": CsvForm(escape="\\")}, [(2, ("1", 'a"b'))]),
        ("1,-\n", {"form": CsvForm(null=("-", "?"))}, [(2, ("1", None))]),
    ],
)  # fmt: skip
def test_each_record_has_its_values_or_its_reason(text, more, records):
    assert careful(text, **more) == records


def test_many_records_come_in_their_order():
    text = "".join(f"{number},x\n" for number in range(2500)).replace("1500,x", '1500,"x')

    found = careful(text)

    assert [line for line, _ in found] == list(range(2, 2502))
    assert found[1500][1] == "a quoted field begins here and is never closed"
    assert found[2499][1] == ("2499", "x")


def test_escaped_records_leave_out_blank_lines_and_comments_outside_of_quotes():
    text = '#c\n1,"a\\"\n\n#d"\n\n2,b\n'
    lines = Lines(before=1)
    form = CsvForm(escape="\\", comment="#")
    records = EscapedRecords(io.StringIO(text, newline=""), form, lines, one_column=False)

    assert "".join(iter(records.read, "")) == '1,"a\\"\n\n#d"\n2,b\n'
    assert lines.left_out == 2
    kept = EscapedRecords(io.StringIO("a\n\n", newline=""), form, Lines(), one_column=True)
    assert kept.read() == "a\n\n"


def test_escaped_records_come_a_block_at_a_time(monkeypatch):
    monkeypatch.setattr("headrace.jobs.files.escaped_records._BLOCK", 8)
    text = "1,aa\n2,bb\n\n3,cc\n"
    records = EscapedRecords(
        io.StringIO(text, newline=""), CsvForm(escape="\\"), Lines(), one_column=False
    )

    assert list(iter(records.read, "")) == ["1,aa\n2,bb\n", "3,cc\n"]


@pytest.mark.parametrize(
    ("line", "escape", "changes"),
    [
        ('"a', None, True), ('"a"', None, False), ('"a""', None, True), ('"a\\"', "\\", True),
        ('"a\\\\"', "\\", False), ('a\\"b', "\\", False),
    ],
)  # fmt: skip
def test_an_escaped_quote_opens_and_closes_nothing(line, escape, changes):
    assert CsvForm(escape=escape).changes_quoting(line) is changes


# -- other ways to write numbers and dates ------------------------------------------------


@pytest.mark.parametrize(
    ("decimal", "thousands", "written", "number"),
    [
        (",", ".", "1.234.567,89", "1234567.89"), (",", ".", "-1,5e-3", "-1.5e-3"),
        (",", None, "1234,5", "1234.5"), (".", ",", "1,234.5", "1234.5"), (".", ",", "12", "12"),
        (",", ".", "1.5", None), (",", ".", "12345.678", None), (",", None, "1.5", None),
        (",", ".", "NaN", "NaN"), (",", None, "-Infinity", "-Infinity"), (",", None, "x", None),
        (".", "'", "1'234", "1234"),
    ],
)  # fmt: skip
def test_a_number_is_read_with_the_marks_of_its_file(decimal, thousands, written, number):
    assert of_number(decimal, thousands)(written) == number


@pytest.mark.parametrize(
    ("form", "written", "read"),
    [
        ("DD.MM.YYYY", "3.2.2026", "2026-2-3"), ("MM/DD/YYYY", "02/03/2026", "2026-02-03"),
        ("DD MON YYYY", "3 Feb 2026", "2026-Feb-3"),
        ("DD MONTH YYYY", "3 February 2026", "2026-February-3"),
        ("YYYYMMDD", "20260203", "2026-02-03"), ("DD.MM.YYYY", "2026-02-03", None),
        ("DD.MM.YYYY HH24:MI", "3.2.2026 4:05", "2026-2-3 4:05"),
        ('YYYY-MM-DD"T"HH24:MI:SS.MSTZH', "2026-02-03T04:05:06.7+01", "2026-02-03 04:05:06.7 +01"),
        ("YYYY-MM-DDTHH24:MI:SSTZ", "2026-02-03T04:05:06Europe/Rome",
         "2026-02-03 04:05:06 Europe/Rome"),
        ("DD.MM.YYYY HH12:MI PM", "3.2.2026 4:05 p.m.", "2026-2-3 4:05 pm"),
        ("DD.MM.YYYY HH12:MI AM TZ", "3.2.2026 4:05 P.M. -05:30", "2026-2-3 4:05 Pm -05:30"),
        ("HH24", "7", "7:00"), ("HH:MI:SS.US AM", "7:08:09.123456 am", "7:08:09.123456 am"),
        ("HH24:MI:SS.MS", "7:08:09.5", "7:08:09.5"),
    ],
)  # fmt: skip
def test_a_date_is_read_in_the_order_of_its_file(form, written, read):
    assert of_date(form)(written) == read


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("DD.XX.YYYY", "'X' is no part of a date: use YYYY, MM, DD"),
        ("DD.DD.YYYY", "the day occurs twice"),
        ("DD.MM.YY", "a year of two digits does not say which century"),
        ("MM.YYYY", "it needs YYYY, MM and DD, or none of them"),
        ('"day"', "it has no part of a date or a time"),
        ("MI:SS", "it has the minute without the hour"),
        ("HH24:SS", "it has the second without the minute"),
        ("HH24:MI.MS", "it has the fraction of a second without the second"),
        ("DD.MM.YYYY PM", "it has the AM or PM without the hour"),
    ],
)
def test_a_format_that_does_not_say_which_day_is_refused(form, told):
    with pytest.raises(Exception, match=told) as refused:
        of_date(form)

    assert type(refused.value).__name__ == "InvalidPayload"
