"""Find steps that wait for each other."""

from collections.abc import Iterator, Mapping, Sequence


def cycles(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Yield cycles that have no step in common, each as a path that ends where it begins.

    `needs` maps a step to those it depends on, all of them keys. Every graph with a cycle
    yields one; breaking those that are yielded may uncover more.
    """
    order = {step: number for number, step in enumerate(needs)}
    left = _without_free(dict(needs))
    while left:
        path: dict[str, None] = {}
        following = next(iter(left))
        while following not in path:
            path[following] = None
            following = next(step for step in left[following] if step in left)
        walked = list(path)
        found = walked[walked.index(following) :]
        first = min(range(len(found)), key=lambda index: order[found[index]])
        ordered = found[first:] + found[:first]
        yield [*ordered, ordered[0]]
        broken = set(found)
        left = _without_free({step: left[step] for step in left if step not in broken})


def _without_free(needs: dict[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return what is left once every step that can start has run."""
    waiting = {step: {name for name in needs[step] if name in needs} for step in needs}
    dependants: dict[str, list[str]] = {step: [] for step in needs}
    for step, names in waiting.items():
        for name in names:
            dependants[name].append(step)
    free = [step for step, names in waiting.items() if not names]
    while free:
        done = free.pop()
        for step in dependants[done]:
            waiting[step].discard(done)
            if not waiting[step]:
                free.append(step)
    return {step: needs[step] for step, names in waiting.items() if names}


def together(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Yield the groups of names that all need each other, however far round, in their order.

    Each cycle lies within one group. After Kosaraju: whoever is reached from the last one
    that a walk has left, against the direction of the walk, belongs to it.
    """
    left: list[str] = []
    seen: set[str] = set()
    for start in needs:
        _walk(start, needs, seen, left)
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            needed_by[other].append(name)
    order = {name: number for number, name in enumerate(needs)}
    seen = set()
    for start in reversed(left):
        group: list[str] = []
        _walk(start, needed_by, seen, group)
        if len(group) > 1:
            yield sorted(group, key=order.__getitem__)


def _walk(
    start: str, following: Mapping[str, Sequence[str]], seen: set[str], left: list[str]
) -> None:
    """Append all that is reached from `start` and not seen yet, each after what it leads to."""
    if start in seen:
        return
    seen.add(start)
    path = [(start, iter(following[start]))]
    while path:
        _, rest = path[-1]
        new = next((other for other in rest if other not in seen), None)
        if new is None:
            left.append(path.pop()[0])
        else:
            seen.add(new)
            path.append((new, iter(following[new])))
