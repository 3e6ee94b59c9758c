"""A `notify` that says of what to tell needs somebody to tell, here or further out."""

from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.draft import Finding
from headrace.declarations.rules.notify_rules import somebody_is_told
from headrace.model.notifications import Notify

ON: dict[str, Any] = {"on": ["failure"]}
PAGER: dict[str, Any] = {"notify": {"to": ["pager"]}}
NOBODY: dict[str, Any] = {"notify": None}
BASE = Notify(("failure",), ("post",))


@pytest.mark.parametrize(
    ("own", "outer", "base", "is_told"),
    [
        (ON, [], None, False),
        (ON, [{"timeout": "1m"}], None, False),
        (ON, [{"notify": {"on": ["success"]}}], None, False),
        (ON, [PAGER, NOBODY], BASE, False),
        (ON, [NOBODY], BASE, False),
        ({}, [], None, False),
        (ON, [], BASE, True),
        (ON, [{"timeout": "1m"}], BASE, True),
        (ON, [PAGER], None, True),
        (ON, [NOBODY, PAGER], None, True),
        # What names its own receivers, or nobody, or is none, other rules look at.
        ({"to": []}, [], None, True),
        (None, [], None, True),
        ("pager", [], None, True),
    ],
)
def test_somebody_is_told_by_the_file_a_folder_or_the_configuration(
    own: Any, outer: list[dict[str, Any]], base: Notify | None, is_told: bool
) -> None:
    settings = Settings(Path(), Path(), Path(), notify=base)

    found = list(somebody_is_told({"notify": own}, outer, settings))

    message = "`notify` names no receiver, and neither does a _defaults.yaml or config.yaml"
    wrong = Finding(("notify",), "missing-key", message, "add `to: [name]`", True)
    assert found == ([] if is_told else [wrong])
    assert list(somebody_is_told({}, outer, settings)) == []
