"""Warnings about texts that YAML has changed before anybody reads them.

A folded text becomes one line, so that a comment swallows what was written below it; in a plain
text ` #` begins a comment of YAML's own. Which of the two a text is, only its style tells.
"""

import re
from collections.abc import Iterator

from headrace.declarations.source import Document, KeyPath, Node
from headrace.errors import Problem
from headrace.errors.shortened import shortened
from headrace.template.lexer import Kind, tokens

_LITERAL_HINT = "write the text in a block that begins with | (it keeps the lines)"
_QUOTE_HINT = "quote the text, or write it in a block that begins with |"
_SILENCE = re.compile(r"#\s*headrace:\s*ignore\[")
# `echo a # b`, outside of quotes.
_SHELL = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|(?P<comment>(?:^|(?<=[\s;&|(]))#[^\n]*)""")


def warnings_of_texts(document: Document) -> Iterator[Problem]:
    """Yield what YAML does to SQL, conditions and commands that may not be meant."""
    for path, node in _texts(document.root, ()):
        place = node.position
        comment = _swallowing(path, node, document.lines)
        if comment is not None:
            line, begins, swallowed = comment
            what, rest = shortened(begins), shortened(swallowed)
            message = f'the comment "{what}" comments out what follows: "{rest}"'
            yield Problem(
                document.file,
                line,
                document.lines[line - 1].rindex(begins) + 1,
                "swallowed-comment",
                f"{message}: YAML joins the lines of this text",
                _LITERAL_HINT,
                "warning",
            )
        cut = _cut(path, node, document.lines)
        if cut:
            message = f'YAML reads "{shortened(cut)}" as a comment: it is not part of the text'
            yield Problem(document.file, *place, "cut-by-comment", message, _QUOTE_HINT, "warning")


def _texts(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    if isinstance(node.children, dict):
        for key, child in node.children.items():
            yield from _texts(child, (*path, key))
    elif isinstance(node.children, list):
        for index, child in enumerate(node.children):
            yield from _texts(child, (*path, index))
    elif isinstance(node.data, str) and (
        path[-1:] == ("when",) or (path[-2:-1] == ("with",) and path[-1] in ("sql", "command"))
    ):
        yield path, node


def _swallowing(path: KeyPath, node: Node, lines: list[str]) -> tuple[int, str, str] | None:
    """Return the line of a comment, its text, and what was written below it."""
    if node.style == "|" or node.end.line <= node.position.line or path[-1] == "when":
        return None
    comments = _shell_comments(node.data) if path[-1] == "command" else _sql_comments(node.data)
    for comment in comments:
        for number in range(node.position.line, min(node.end.line, len(lines)) + 1):
            written = _part(lines[number - 1], comment)
            if written and len(written) < len(comment.rstrip()):
                rest = comment[len(written) :].strip()
                if rest.strip("\"'"):
                    return number, written, rest
    return None


def _part(line: str, comment: str) -> str:
    """Return the part of a comment that stands at the end of a line, '' where none does."""
    start = line.find(comment[:2].rstrip())
    while start >= 0:
        written = line[start:].rstrip()
        if comment.startswith(written):
            return written
        start = line.find(comment[:2].rstrip(), start + 1)
    return ""


def _sql_comments(text: str) -> list[str]:
    return [
        one.text for one in tokens(text) if one.kind is Kind.COMMENT and one.text.startswith("--")
    ]


def _shell_comments(text: str) -> list[str]:
    return [found["comment"] for found in _SHELL.finditer(text) if found["comment"]]


def _cut(path: KeyPath, node: Node, lines: list[str]) -> str:
    """Return what of a plain text YAML takes for a comment and SQL would not."""
    if node.style or node.end.line > len(lines):
        return ""
    rest = lines[node.end.line - 1][node.end.column - 1 :].strip()
    if not rest.startswith("#") or _SILENCE.match(rest):
        return ""
    if path[-1] == "sql":
        return rest
    # In a shell this is a comment, too, and in a condition nothing else can be meant by it:
    # unless it stood inside quotes.
    return rest if _quotes_are_open(str(node.data)) or not rest[1:2].isspace() else ""


def _quotes_are_open(text: str) -> bool:
    return text.count("'") % 2 == 1 or text.count('"') % 2 == 1
