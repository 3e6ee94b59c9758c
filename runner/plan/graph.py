"""The order of steps: what may run side by side, and whether there is an order at all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class Node(Protocol):
    """Anything with a name that follows other named things: a step, a planned job."""

    @property
    def id(self) -> str:
        """Return its name, unique in the graph."""

    @property
    def depends_on(self) -> Sequence[str]:
        """The names of what it follows."""


def waves(steps: Sequence[Node]) -> list[list[str]]:
    """Return the steps in waves: each needs only steps of earlier waves.

    Within a wave the steps keep the order of the file. Unknown dependencies do not count.

    Raises:
        ValueError: the steps form a cycle; the message shows it.
    """
    edges = {step.id: step.depends_on for step in steps}
    level: dict[str, int] = {}
    for step in topological_order(edges):
        level[step] = 1 + max((level[up] for up in edges[step] if up in edges), default=-1)
    result: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for step in edges:
        result[level[step]].append(step)
    return result


def topological_order(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the nodes in an order in which each follows what it depends on.

    `edges` maps a node to what it depends on. The order is that of `edges`, except that what
    a node depends on is drawn before it. Dependencies that are no keys do not count.

    Raises:
        ValueError: there is no such order; the message shows a cycle.
    """
    order, cycle = _walk(edges)
    if cycle is not None:
        raise ValueError(f"the steps form a cycle: {' -> '.join(cycle)}")
    return order


def find_cycle(edges: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Return one cycle as its nodes in order, the first repeated at the end, or None.

    `edges` maps a node to what it depends on; a node that depends on itself is the cycle
    `[a, a]`. Dependencies that are no keys of `edges` do not count.
    """
    return _walk(edges)[1]


def _walk(edges: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str] | None]:
    """Visit every node after its dependencies, without recursion: chains may be long."""
    done: dict[str, None] = {}
    for start in edges:
        # The nodes from `start` to the one in hand, each with what is left to look at.
        path: dict[str, Iterator[str]] = {}
        node = None if start in done else start
        while node is not None:
            upstream = path.setdefault(node, (up for up in edges[node] if up in edges))
            following = next((up for up in upstream if up not in done), None)
            if following is None:
                done[node] = None
                del path[node]
                node = next(reversed(path), None)
            elif following in path:
                names = list(path)
                return [], [*names[names.index(following) :], following]
            else:
                node = following
    return list(done), None
