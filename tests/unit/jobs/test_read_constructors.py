"""What is read from the source of a constructor: what it passes on, and what it takes itself."""

from collections.abc import Callable
from textwrap import indent
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.model import passed_on as reading
from headrace.model.passed_on import Passed, passed_on

Read = Callable[[str], Passed]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return what a constructor of this body passes on."""

    def found(body: str) -> Passed:
        source = f"    def __init__(self, a, *args, **kwargs):\n{indent(body, ' ' * 8)}\n"
        monkeypatch.setattr(reading, "inspect", SimpleNamespace(getsource=lambda _init: source))
        return passed_on(print, "kwargs")

    return found


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("call", "passed"),
    [
        ("super().__init__(**kwargs)", Passed()),
        ("super().__init__()", Passed(forwards=False)),
        ("super().__init__(a, 1, b=2)", Passed(forwards=False, positional=2, fixed=some("b"))),
        ("Above.__init__(self, a, b=2, **kwargs)", Passed(positional=1, fixed=some("b"))),
        ("super().__init__(a, *args, **kwargs)", Passed(positional=1)),
        ("super().__init__(*args, 1, **kwargs)", Passed()),
        ("super().__init__(**{'b': 1, **kwargs})", Passed(optional=some("b"))),
        ("super().__init__(**{a: 1, **kwargs})", Passed(anything=True)),
        # What is in another mapping nobody knows: it may be all that was given.
        ("super().__init__(**{'b': 1, **more})", Passed(optional=some("b"), anything=True)),
        ("super().__init__(**more)", Passed(anything=True)),
        ("super().other(b=1)", Passed()),
        ("__init__(b=1)", Passed()),
    ],
)
def test_arguments_of_the_constructor_above_are_told_by_how_they_are_given(
    read: Read, call: str, passed: Passed
) -> None:
    # Its own are what is given by any means.
    assert read(call) == Passed(**{**fields(passed), "optional": passed.optional | passed.fixed})


def fields(passed: Passed) -> dict[str, Any]:
    return {name: getattr(passed, name) for name in Passed.__dataclass_fields__}


def test_of_two_calls_that_is_sure_which_both_have(read: Read) -> None:
    both = (
        "if a:\n    super().__init__(1, 2, b=1, c=1, **kwargs)\nelse:\n    super().__init__(1, b=2)"
    )

    assert read(both) == Passed(fixed=some("b"), positional=1, optional=some("b", "c"))
    assert read(both.replace("b=2", "**more")).anything
    assert not read(both.replace(", **kwargs", "")).forwards


@pytest.mark.parametrize(
    ("change", "optional", "popped", "anything"),
    [
        ("kwargs['b'] = 1", some("b"), {}, False),
        ("kwargs.setdefault('b', 1)", some("b"), {}, False),
        ("kwargs.setdefault(a, 1)", some(), {}, True),
        ("kwargs.update(b=1)", some(), {}, True),
        ("kwargs[a] = 1", some(), {}, True),
        ("b = kwargs.pop(a)", some(), {}, True),
        ("kwargs = more(kwargs)", some(), {}, True),
        ("b = kwargs.pop('b')", some(), {"b": True}, False),
        ("b = kwargs.pop('b', 1)", some(), {"b": False}, False),
        ("b = kwargs.pop('b') if a else kwargs.pop('b', 1)", some(), {"b": True}, False),
        # None of these changes what is passed on.
        ("b = kwargs['b']", some(), {}, False),
        ("b = kwargs.get('b'), kwargs.get(a), kwargs.items()", some(), {}, False),
        ("self.options['b'] = 1", some(), {}, False),
        ("args['b'] = 1", some(), {}, False),
        ("a.setdefault('b', 1)\na.pop('c')\na.update(kwargs)", some(), {}, False),
        ("self.kwargs.pop('b')", some(), {}, False),
        ("pop('b')", some(), {}, False),
    ],
)
@pytest.mark.parametrize("calls", [True, False])
def test_changes_of_what_is_passed_on_are_found(
    read: Read,
    change: str,
    optional: frozenset[str],
    popped: dict[str, bool],
    anything: bool,
    calls: bool,
) -> None:
    if calls:
        found = read(f"{change}\nsuper().__init__(**kwargs)")
        assert found == Passed(optional=optional, popped=popped, anything=anything)
    else:
        found = read(change)
        assert (found.optional, found.popped, found.fixed) == (optional, popped, some())
