"""Documentation that the code can hold against itself."""

import re
from pathlib import Path

import pytest

from docs.__main__ import jobs_page
from headrace.cli.arguments import parser
from headrace.model.status import TRANSITIONS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_the_reference_of_the_jobs_is_what_the_code_says():
    page = (ROOT / "docs/reference/jobs.md").read_text(encoding="utf-8")
    assert page == jobs_page(), "run `make docs`"


def test_every_command_is_documented():
    page = (ROOT / "docs/guide/commands.md").read_text(encoding="utf-8")
    choices = next(action.choices for action in parser()._actions if action.choices)
    missing = [name for name in choices if f"## headrace {name}\n" not in page]
    assert not missing, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_state_diagram_shows_exactly_the_transitions_of_the_code():
    text = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+)", text, re.MULTILINE))
    coded = {(str(old), str(new)) for old, after in TRANSITIONS.items() for new in after}
    assert drawn == coded
