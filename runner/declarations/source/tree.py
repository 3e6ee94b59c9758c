"""The tree that a YAML file spells out: each value with its place and size."""

from functools import cached_property
from typing import Any, NamedTuple


class Position(NamedTuple):
    """A place in a file. Both count from 1, columns in characters."""

    line: int
    column: int


KeyPath = tuple[str | int, ...]


class Node:
    """One value.

    `data` is the value as plain Python; `children` its parts with their places, by key or by
    index; `keys` the places of a mapping's keys; `size` the number of values in it, each
    alias counted as if its content stood there. `style` is how a scalar is written: `|`, `>`,
    a quote, or "" for plain; `end` is where it ends. `text` is a number as it is spelt.
    """

    __slots__ = ("children", "data", "end", "keys", "position", "size", "style", "text")

    def __init__(self, position: Position, data: Any = None) -> None:
        self.position = position
        self.data = data
        self.style = ""
        self.end = position
        self.text = ""
        self.children: dict[str, Node] | list[Node] | None = None
        self.keys: dict[str, Position] | None = None
        self.size = 1

    def seen_from(self, position: Position) -> "Node":
        """Return the same value as it appears at an alias."""
        node = Node(position, self.data)
        node.children, node.keys, node.size = self.children, self.keys, self.size
        node.text = self.text
        return node

    def child(self, step: str | int) -> "Node | None":
        """Return the part at a key or an index, if there is one."""
        if isinstance(self.children, dict):
            return self.children.get(step) if isinstance(step, str) else None
        if isinstance(self.children, list) and isinstance(step, int):
            return self.children[step] if -1 < step < len(self.children) else None
        return None


class Document:
    """One parsed file. `data` is read-only: aliases share their values."""

    def __init__(self, file: str, root: Node, text: str = "") -> None:
        self.file = file
        self.root = root
        self._text = text

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the file."""
        return self._text.split("\n")

    def node(self, path: KeyPath) -> Node | None:
        """Return the part of the tree at a path, if there is one."""
        node: Node | None = self.root
        for step in path:
            node = node.child(step) if node is not None else None
        return node

    @property
    def data(self) -> Any:
        """The file's content as plain Python."""
        return self.root.data

    def at(self, path: KeyPath, *, key: bool = False) -> Position:
        """Return where the value at `path` stands, or with `key` the key that names it.

        Where the file has no such value, the place of the nearest parent it does have.
        """
        node, position = self.root, self.root.position
        for step in path:
            child = node.child(step)
            if child is None:
                return position
            position = child.position
            if key and node.keys is not None and isinstance(step, str):
                position = node.keys[step]
            node = child
        return position
