"""Describes how a CSV file is written: its marks, what stands for no value, how numbers look."""

from dataclasses import dataclass

from headrace.errors import InvalidPayload


@dataclass(frozen=True, slots=True)
class CsvForm:
    """The form of a CSV file.

    `escape` stands before a quote inside a quoted field, where quotes are not doubled. A line
    that begins with `comment` is no record. The first `skip_lines` lines are passed over.
    `null` are the texts that stand for no value.
    """

    delimiter: str = ","
    header: bool = True
    null: tuple[str, ...] = ("",)
    quote: str = '"'
    escape: str | None = None
    comment: str | None = None
    skip_lines: int = 0
    decimal: str = "."
    thousands: str | None = None

    def check(self) -> None:
        """Refuse marks that cannot be told apart.

        Raises:
            InvalidPayload: naming the parameter.
        """
        refuse_delimiter(self.delimiter)
        _refuse_mark("quote", self.quote)
        if self.escape is not None:
            _refuse_mark("escape", self.escape)
        if self.comment is not None:
            _refuse_mark("comment", self.comment)
        marks = [self.delimiter, self.quote, self.escape, self.comment]
        told = [mark for mark in marks if mark is not None]
        if len(set(told)) < len(told):
            raise InvalidPayload("delimiter, quote, escape and comment must differ")
        if not self.null:
            raise InvalidPayload('null is empty: name at least one text, such as ""')
        if self.skip_lines < 0:
            raise InvalidPayload(f"skip_lines must be 0 or more, not {self.skip_lines}")
        _refuse_mark("decimal", self.decimal)
        if self.thousands is not None:
            _refuse_mark("thousands", self.thousands)
            if self.thousands == self.decimal:
                raise InvalidPayload("decimal and thousands must differ")

    def changes_quoting(self, line: str) -> bool:
        """Return whether a line opens a quote that it does not close, or closes one."""
        quotes = line.count(self.quote)
        if self.escape is not None:
            quotes -= line.replace(self.escape * 2, "").count(self.escape + self.quote)
        return quotes % 2 == 1

    @property
    def is_plain(self) -> bool:
        """Whether PostgreSQL itself reads the file as it is."""
        return (
            len(self.null) == 1
            and self.quote == '"'
            and self.escape is None
            and self.decimal == "."
            and self.thousands is None
        )


PLAIN = CsvForm()


def refuse_delimiter(delimiter: str) -> None:
    """Refuse what cannot separate the columns of a CSV file.

    Raises:
        InvalidPayload: it is not one ASCII character, or a quote or a line's end.
    """
    if len(delimiter) != 1 or delimiter in '"\n\r' or not delimiter.isascii():
        raise InvalidPayload(
            f"delimiter must be one character, neither a quote nor a line end: {delimiter!r}"
        )


def _refuse_mark(parameter: str, mark: str) -> None:
    if len(mark) != 1 or mark in "\n\r" or not (mark.isascii() or mark == "\u00a0"):
        raise InvalidPayload(f"{parameter} must be one ASCII character, not {mark!r}")
