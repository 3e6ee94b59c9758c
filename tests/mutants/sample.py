"""Draws faults at random: rooms by their number of lines, then a line, then an operator on it."""

import random
from collections import defaultdict
from collections.abc import Callable, Collection

from tests.mutants.faults import Fault
from tests.mutants.python_faults import PythonFaults
from tests.mutants.sources import Sources, is_in, room_of
from tests.mutants.sql_faults import SqlFaults, is_sql, statements_of


class Sample:
    """Draws from the faults of some rooms, all of them if none is named."""

    def __init__(
        self,
        sources: Sources,
        seed: int,
        rooms: Collection[str],
        among: Callable[[Fault], bool] | None = None,
        operators: Collection[str] = (),
    ) -> None:
        """Take those for which `among` is true, and those of `operators`; all of them without.

        Raises:
            SystemExit: A room or an operator is not known.
        """
        self._sources = sources
        self._random = random.Random(seed)
        self._lines: dict[str, dict[tuple[str, int], list[Fault]]] = defaultdict(dict)
        known = {room_of(path) for path in sources.paths}
        if unknown := [one for one in rooms if not any(is_in(path, one) for path in sources.paths)]:
            raise SystemExit(
                f"no such rooms: {', '.join(sorted(unknown))}; {' '.join(sorted(known))}"
            )
        seen = set()
        for path in sources.paths:
            if rooms and not any(is_in(path, room) for room in rooms):
                continue
            kind = PythonFaults if path.endswith(".py") else SqlFaults
            for fault in kind(path, sources.text(path)):
                seen.add(fault.operator)
                if operators and fault.operator not in operators:
                    continue
                if among is None or among(fault):
                    lines = self._lines[room_of(path)]
                    lines.setdefault((path, fault.line), []).append(fault)

        if strange := set(operators) - seen:
            raise SystemExit(
                f"no such operators: {', '.join(sorted(strange))}; {', '.join(sorted(seen))}"
            )

    def draw(self, count: int) -> list[Fault]:
        """Return `count` faults, none twice."""
        drawn: list[Fault] = []
        for room, share in self._shares(count).items():
            lines = sorted(self._lines[room])
            self._random.shuffle(lines)
            found = (self._on_line(self._lines[room][line]) for line in lines)
            drawn += [fault for fault, _ in zip(filter(None, found), range(share), strict=False)]
        return drawn

    def _shares(self, count: int) -> dict[str, int]:
        """Return how many each room gets: by its lines, and by lot for what remains."""
        rooms = sorted(self._lines)
        whole = sum(len(self._lines[room]) for room in rooms)
        exact = {room: count * len(self._lines[room]) / whole for room in rooms}
        shares = {room: int(exact[room]) for room in rooms}
        rest = [exact[room] - shares[room] for room in rooms]
        for _ in range(count - sum(shares.values())):
            (room,) = self._random.choices(rooms, weights=rest)
            rest[rooms.index(room)] = 0
            shares[room] += 1
        return shares

    def _on_line(self, faults: list[Fault]) -> Fault | None:
        """Return one of a line's faults; None if none of them compiles."""
        faults = list(faults)
        while faults:
            operator = self._random.choice(sorted({fault.operator for fault in faults}))
            fault = self._random.choice([one for one in faults if one.operator == operator])
            if self._compiles(fault):
                return fault
            faults.remove(fault)
        return None

    def _compiles(self, fault: Fault) -> bool:
        before = self._sources.text(fault.path)
        after = fault.applied_to(before)
        if before == after:
            return False
        if fault.path.endswith(".py"):
            try:
                compile(after, fault.path, "exec")
            except SyntaxError:
                return False
        elif fault.path.endswith(".sql"):
            name = before.splitlines()[fault.mark - 1].removeprefix("-- name: ")
            around = self._statements()
            return is_sql(after, around, name) or not is_sql(before, around, name)
        return True

    def _statements(self) -> dict[str, str]:
        paths = [path for path in self._sources.paths if path.endswith(".sql")]
        return {
            name: sql
            for path in paths
            for name, sql in statements_of(self._sources.text(path)).items()
        }
