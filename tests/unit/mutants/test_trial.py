"""What becomes of a fault, by what the tests say with and without it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.mutants.faults import Fault
from tests.mutants.line_map import Test
from tests.mutants.trial import Outcome, Witnesses, Workplace

_FAULT = Fault("module.py", 1, 1, "constant", 4, 5, "2")
_TESTS = [Test(name, "passed", 0.1) for name in ("first", "second", "third")]
Fails = Callable[[str, bool, bool], bool]


class _Place(Workplace):
    """Runs no test: `fails` says of a test's name, alone or not, with the fault or not."""

    def __init__(self, folder: Path, fails: Fails) -> None:
        self.file = folder / "copy" / "module.py"
        self.file.parent.mkdir()
        self.file.write_text("x = 1\n")
        self.asked: list[tuple[list[str], bool]] = []
        self._fails = fails
        super().__init__(self.file.parent, Witnesses(folder / "witnesses"))

    def run(self, tests: Sequence[Test], seconds: float) -> tuple[int | None, int, str]:
        assert seconds > 0
        faulty = self.file.read_text() == "x = 2\n"
        self.asked.append(([test.id for test in tests], faulty))
        for number, test in enumerate(tests, 1):
            if self._fails(test.id, len(tests) == 1, faulty):
                return 1, number, test.id
        return 0, len(tests), ""


def _tried(place: _Place, tests: Sequence[Test] = _TESTS) -> Outcome:
    found = place.try_fault(_FAULT, tests, 60)
    assert place.file.read_text() == "x = 1\n"
    return found


def test_a_test_that_fails_with_the_fault_alone_kills_it(tmp_path: Path) -> None:
    place = _Place(tmp_path, lambda name, _, faulty: name == "second" and faulty)

    assert _tried(place) == Outcome("killed", "second", 2, 3)
    assert place.asked == [
        (["first", "second", "third"], True),
        (["second"], True),
        (["second"], False),
    ]


def test_a_test_that_passes_alone_has_not_seen_the_fault(tmp_path: Path) -> None:
    place = _Place(tmp_path, lambda name, alone, faulty: name == "second" and faulty and not alone)

    assert _tried(place) == Outcome("survived", "", 3, 3)
    assert place.asked[-1] == (["third"], True)


def test_a_test_that_fails_alone_without_the_fault_says_nothing_about_it(tmp_path: Path) -> None:
    def fails(name: str, alone: bool, faulty: bool) -> bool:
        return name == "first" or (name == "third" and faulty)

    place = _Place(tmp_path, fails)

    assert _tried(place) == Outcome("killed", "third", 3, 3)
    # It is asked no more, and what is known of another neither.
    place.asked.clear()
    assert _tried(place) == Outcome("killed", "third", 3, 3)
    assert place.asked == [(["second", "third"], True), (["third"], True)]
    assert _tried(place, _TESTS[:1]) == Outcome("survived", "", 1, 1)


def test_a_copy_in_which_unchanged_code_fails_is_of_no_use(tmp_path: Path) -> None:
    place = _Place(tmp_path, lambda name, _alone, _faulty: name == "second")

    place.check(_TESTS[:1], 60)
    with pytest.raises(SystemExit, match="copy: unchanged code fails here: second"):
        place.check(_TESTS, 60)


def test_a_fault_that_no_test_reaches_is_not_made(tmp_path: Path) -> None:
    place = _Place(tmp_path, lambda *_: True)

    assert _tried(place, []) == Outcome("unreached", "", 0, 0)
    assert place.asked == []
