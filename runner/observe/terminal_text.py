"""Text of others (a job's output, an error, a name) as it may stand in a terminal or a log.

A terminal obeys what it is shown: an escape sequence moves the cursor over what stands there,
changes the window's title, or types. A line break makes one line of a log look like two.
"""

from typing import Any, TextIO

# C0 and C1 controls and DEL, but for tabs and line feeds; what reverses the order of characters;
# the separators of lines and paragraphs. `\u001b` is how JSON writes them, too.
_SHOWN = {
    code: f"\\u{code:04x}"
    for code in (
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *(0x061C, 0x200E, 0x200F),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
}


def visible(text: str) -> str:
    """Return a text in which control characters are written out; tabs and line feeds stay."""
    return text if text.isascii() and text.isprintable() else text.translate(_SHOWN)


def hanging(text: str, indent: str) -> str:
    """Return a text as `visible` does, its further lines set off: none passes for one of ours."""
    return visible(text).replace("\n", f"\n{indent}")


class VisibleStream:
    """A stream for people, which writes control characters out. `plain` is the stream below."""

    def __init__(self, plain: TextIO) -> None:
        self.plain = plain

    def write(self, text: str) -> int:
        """Write a text; see `visible`."""
        self.plain.write(visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)
