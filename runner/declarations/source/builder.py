"""Build the tree from YAML events, in one pass, within limits.

Events instead of PyYAML's ready-made nodes or values: those keep the last of two equal keys,
follow YAML 1.1, and recurse as deep as the file asks.
"""

from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from headrace.declarations.source.scalars import BY_TAG, CORE_TAG, TAKES, resolve
from headrace.declarations.source.tree import Node, Position
from headrace.errors import Problem
from headrace.errors.shortened import shortened
from headrace.model.storable import joined

MAX_DEPTH = 50
MAX_ALIASES = 1_000
MAX_VALUES = 100_000
MAX_PROBLEMS = 100

_MERGE = "<<"

# libyaml is ten times faster; the pure parser understands the same files.
_Loader: Any = getattr(yaml, "CLoader", yaml.Loader)


class Unreadable(Exception):
    """Reading cannot go on; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _place(event: Any) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1)


def _end(event: Any) -> Position:
    mark = event.end_mark
    return Position(mark.line + 1, mark.column + 1)


# They break lines in YAML 1.1, which the parser follows, and are characters like any in 1.2.
_NO_BREAKS = "\x85\u2028\u2029"
_PRIVATE = range(0x10F000, 0x10FFFE)


def _stand_ins(text: str) -> dict[int, int]:
    """Return characters that the text does not hold, for those that are no line breaks."""
    present = [ord(one) for one in _NO_BREAKS if one in text]
    free = (code for code in _PRIVATE if chr(code) not in text)
    return dict(zip(present, free, strict=False))


class TreeBuilder:
    """Reads one file. `problems` collects what is wrong but does not stop the reading."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._text = text
        stand_ins = _stand_ins(text)
        self._meant = {stand_in: code for code, stand_in in stand_ins.items()}
        self._loader = _Loader(text.translate(stand_ins) if stand_ins else text)
        self._next = self._loader.get_event
        self._anchors: dict[str, Node | None] = {}
        self._aliases = 0
        self._values = 0
        self.problems: list[Problem] = []

    def build(self) -> Node | None:
        """Return the root, or None for a file without a value.

        Raises:
            Unreadable: a limit is reached.
            yaml.YAMLError: the text is not YAML.
        """
        try:
            self._next()  # the stream's start
            event = self._next()
            if isinstance(event, StreamEndEvent):
                return None
            root = self._node(self._next(), 1)
            self._next()  # the document's end
            following = self._next()
            if isinstance(following, DocumentStartEvent):
                self._report(
                    _place(following),
                    "several-documents",
                    "a second document starts here",
                    "a file contains one document: remove the line `---` or use two files",
                )
            return root
        finally:
            self._loader.dispose()

    def _report(self, place: Position, code: str, message: str, hint: str = "") -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(self._file, *place, code, message, hint))

    def _stop(self, event: Any, code: str, message: str, hint: str) -> Unreadable:
        return Unreadable(Problem(self._file, *_place(event), code, message, hint))

    def _node(self, event: Any, depth: int) -> Node:
        self._values += 1
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._stop(
                event, "too-deep", f"values are nested more than {MAX_DEPTH} deep", "nest less"
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if kind is ScalarEvent:
            node = Node(_place(event), self._scalar(event))
            node.style, node.end = event.style or "", _end(event)
            if isinstance(node.data, int | float) and not isinstance(node.data, bool):
                node.text = event.value
        elif kind is MappingStartEvent:
            self._refuse_tag(event, "map")
            node = self._mapping(event, depth)
        else:
            self._refuse_tag(event, "seq")
            node = self._sequence(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._check_size(event)
        return node

    def _check_size(self, event: Any) -> None:
        if self._values > MAX_VALUES:
            code = "alias-limit" if self._aliases else "too-large"
            what = " after its aliases are expanded" if self._aliases else ""
            raise self._stop(
                event,
                code,
                f"the file holds more than {MAX_VALUES:,} values{what}",
                "split the file, or put data into a data file that a step reads",
            )

    def _alias(self, event: Any) -> Node:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            hint = "use fewer aliases"
            message = f"the file uses more than {MAX_ALIASES:,} aliases"
            raise self._stop(event, "alias-limit", message, hint)
        name = event.anchor
        target = self._anchors.get(name)
        if target is None:
            if name in self._anchors:
                message = f"alias *{name} is inside its own anchor &{name}"
                hint = "write the value itself"
            else:
                message = f"alias *{name} has no anchor &{name} above it"
                hint = "quote the value if it is text that begins with *"
            self._report(_place(event), "unknown-alias", message, hint)
            return Node(_place(event))
        self._values += target.size - 1
        self._check_size(event)
        return target.seen_from(_place(event))

    def _refuse_tag(self, event: Any, core: str) -> None:
        if event.tag not in (None, "!", CORE_TAG + core):
            self._unknown_tag(event)

    def _unknown_tag(self, event: Any) -> None:
        shown = event.tag.replace(CORE_TAG, "!!")
        self._report(
            _place(event), "unknown-tag", f"the tag {shown} does not fit here", "remove the tag"
        )

    def _scalar(self, event: Any) -> Any:
        tag, text = event.tag, event.value
        if self._meant:
            text = text.translate(self._meant)
        whole = joined(text)
        if whole is None:
            message, hint = "this text has a character that cannot be stored", "remove its escape"
            self._report(_place(event), "bad-value", message, hint)
        else:
            text = whole
        if tag is None and event.style not in (None, ""):
            return text
        try:
            if tag is None:
                return resolve(text)
            if tag in BY_TAG:
                return BY_TAG[tag](text)
        except (ValueError, OverflowError):
            message = f'"{shortened(text)}" cannot be read as {TAKES.get(tag, "a number")}'
            hint = "quote it" if tag is None else "quote it, and remove the tag"
            self._report(_place(event), "bad-value", message, hint)
            return text
        self._unknown_tag(event)
        return text

    def _sequence(self, start: Any, depth: int) -> Node:
        node = Node(_place(start))
        children: list[Node] = []
        while type(event := self._next()) is not SequenceEndEvent:
            children.append(self._node(event, depth + 1))
        node.children = children
        node.data = [child.data for child in children]
        node.size += sum(child.size for child in children)
        return node

    def _mapping(self, start: Any, depth: int) -> Node:
        node = Node(_place(start))
        children: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        merged: list[Node] = []
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event, depth)
            child = self._node(self._next(), depth + 1)
            if key is None:
                continue
            if key in keys:
                self._report_twice(event, key, keys[key])
                continue
            keys[key] = _place(event)
            if key == _MERGE and event.style in (None, ""):
                merged = self._merged(child)
            else:
                children[key] = child
        for other in merged:
            _merge(children, keys, other)
        if _MERGE not in children:
            keys.pop(_MERGE, None)
        node.children, node.keys = children, keys
        node.data = {key: child.data for key, child in children.items()}
        node.size += sum(child.size for child in children.values())
        return node

    def _report_twice(self, event: Any, key: str, first: Position) -> None:
        self._report(
            _place(event),
            "duplicate-key",
            f'key "{key}" is set twice, first at line {first.line}, column {first.column}',
            "keep one of the two",
        )

    def _merged(self, child: Node) -> list[Node]:
        sources = child.children if isinstance(child.children, list) else [child]
        for source in sources:
            if not isinstance(source.children, dict):
                hint = "write `<<: *anchor`, where the anchor marks a mapping"
                self._report(source.position, "bad-merge", "`<<` takes a mapping", hint)
        return [source for source in sources if isinstance(source.children, dict)]

    def _key(self, event: Any, depth: int) -> str | None:
        """Return the key's text, or report it and return None."""
        node = self._node(event, depth + 1)
        if isinstance(node.data, str):
            return node.data
        if node.children is None:
            shown = "null" if node.data is None else getattr(event, "value", "")
            message, hint = f"the key {shown} is not text", f'quote it: "{shown}"'
        elif self._begins_template(event):
            message = "`{{` starts a YAML mapping unless it is quoted"
            hint = 'put the whole value in quotes, as in "{{ params.day }}"'
        else:
            message, hint = "a key is text, not a list or a mapping", "use text as a key"
        self._report(node.position, "bad-key", message, hint)
        return None

    def _begins_template(self, event: Any) -> bool:
        index = event.start_mark.index
        return self._text[max(index - 1, 0) : index + 1] == "{{"


def _merge(children: dict[str, Node], keys: dict[str, Position], other: Node) -> None:
    # Keys written out win over merged ones, earlier merged ones over later.
    assert isinstance(other.children, dict)
    assert other.keys is not None
    for key, child in other.children.items():
        if key not in children:
            children[key] = child
            keys[key] = other.keys[key]
