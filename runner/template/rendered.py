"""SQL that is ready to be sent: text with its values beside it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import RefusedSql
from headrace.errors.shortened import shortened
from headrace.template.guard import split_statements
from headrace.template.lexer import Kind, Token, code, kept, tokens

# NUL can stand in no PostgreSQL text, so a marker cannot be mistaken for anything else.
_MARKER = re.compile("\x00(p\\d+)\x00")
# In `date {{ day }}::text` the literal belongs to the type's name.
_LITERAL_TYPES = frozenset(
    "DATE TIME TIMETZ TIMESTAMP TIMESTAMPTZ ZONE INTERVAL TEXT JSON JSONB UUID BYTEA".split()
)


def marker(name: str) -> str:
    """Return what stands in the text for the bound value `name`."""
    return f"\x00{name}\x00"


@dataclass(frozen=True, slots=True)
class RenderedSql:
    """One or more statements and their bound values.

    `marked` is the text with a marker where a value belongs; the properties turn it into what
    a reader, the driver or SQLAlchemy expects. Colons and percent signs in the SQL itself
    (`::int`, `'12:30'`, `LIKE 'a%'`) are left alone in each of them.
    """

    marked: str
    binds: Mapping[str, Any]

    @property
    def display(self) -> str:
        """The SQL for people: `:p1` for each value."""
        return _MARKER.sub(r":\1", self.marked)

    @property
    def text(self) -> str:
        """The SQL for `sqlalchemy.text`: `:p1` for each value, other colons escaped."""
        return _MARKER.sub(r":\1", self.marked.replace(":", "\\:"))

    @property
    def pyformat(self) -> str:
        """The SQL for a psycopg2 cursor with parameters: `%(p1)s` for each value."""
        return _MARKER.sub(r"%(\1)s", self.marked.replace("%", "%%"))

    def pieces(self) -> tuple[list[str], list[Any]]:
        """Return the text around the values, and the values that stand between."""
        texts = _MARKER.split(self.marked)
        return texts[::2], [self.binds[name] for name in texts[1::2]]

    def statements(self) -> "list[RenderedSql]":
        """Return each statement with the values that it uses."""
        return [self._part(statement) for statement in split_statements(self.marked)]

    def rebound(self, bind: Callable[[Any], str]) -> str:
        """Return the marked text with every value bound anew, as part of another SQL text."""
        renamed = {name: bind(value) for name, value in self.binds.items()}
        return _MARKER.sub(lambda match: marker(renamed[match[1]]), self.marked)

    def _part(self, statement: str) -> "RenderedSql":
        names = {match[1] for match in _MARKER.finditer(statement)}
        return RenderedSql(statement, {name: self.binds[name] for name in sorted(names)})


def refuse_misplaced_binds(marked: str) -> None:
    """Refuse a value inside quotes or a comment, or glued to a neighbour.

    The driver puts a quoted literal in the marker's place: inside quotes it would end them.

    Raises:
        RefusedSql: a value stands where none can.
    """
    found = misplaced_bind(marked)
    if found is not None:
        raise RefusedSql(found[0])


@kept
def misplaced_bind(marked: str) -> tuple[str, int] | None:
    """Return why a value cannot stand where it does, and where that is, or None."""
    if "\x00" not in marked:
        return None
    read: list[Token] = []  # The tokens before, the nearest last.
    meant: Token | None = None
    for token in tokens(marked):
        if token.kind is not Kind.BIND and (inside := _MARKER.search(token.text)):
            return _misplaced(token), token.start + inside.start()
        if read and (told := _glued(read, token)):
            return told, read[-1].start
        if meant is not None and (told := _continued(meant, token)):
            return told, token.start
        read = [*read[-1:], token]
        meant = meant if token.kind in (Kind.SPACE, Kind.COMMENT) else token
    return None


@kept
def with_binds_apart(marked: str) -> str:
    """Return the text with each value in parentheses that its neighbours would take apart.

    The driver puts a literal in the marker's place: `-5::posint` would be cast before it is
    negated.
    """
    if "\x00" not in marked:
        return marked
    found = code(marked)
    text, done = "", 0
    for place, token in enumerate(found):
        if token.kind is not Kind.BIND or not _taken(found[place + 1 : place + 3]):
            continue
        if place and found[place - 1].text.upper() in _LITERAL_TYPES:
            continue
        text += f"{marked[done : token.start]}({token.text})"
        done = token.end
    return text + marked[done:]


def _taken(after: list[Token]) -> bool:
    """Return whether what follows a value belongs to it more closely than its sign does."""
    words = [token.text.upper() for token in after]
    return words[:1] in (["["], ["COLLATE"], ["AT"]) or words == [":", ":"]


def _misplaced(token: Token) -> str:
    shown = shortened(_MARKER.sub("{{ … }}", token.text))
    if token.kind is Kind.COMMENT:
        return f"a value is inside a comment: {shown} (write such comments as {{# … #}})"
    return (
        f"a value is inside quotes: {shown} (write {{{{ … }}}} without quotes, "
        "it is bound as a parameter; for parts of a string use ||; braces that are meant as "
        "text stand between {% raw %} and {% endraw %})"
    )


def _glued(read: list[Token], token: Token) -> str:
    before = read[-1]
    if Kind.BIND not in (before.kind, token.kind):
        return ""
    one_token = (Kind.BIND, Kind.WORD, Kind.NUMBER, Kind.STRING, Kind.QUOTED_NAME)
    unicode_text = [one.text.upper() for one in read] == ["U", "&"]
    if (
        (before.kind in one_token and token.kind in one_token)
        or before.text in (".", "$")
        or token.text == "."
        or unicode_text
    ):
        shown = shortened(_MARKER.sub("{{ … }}", before.text + token.text))
        return (
            f"a value is directly next to other text: {shown} (leave a space; for a name made of "
            "parts write {{ ('a_' ~ b) | identifier }})"
        )
    return ""


def _continued(before: Token, token: Token) -> str:
    """Refuse two texts in a row: over a line's end they would be one, which nobody has written."""
    texts = (Kind.BIND, Kind.STRING)
    if Kind.BIND in (before.kind, token.kind) and before.kind in texts and token.kind in texts:
        return (
            "a value follows another one, or a text, with nothing but space between them: "
            "put an operator or a comma there"
        )
    return ""
