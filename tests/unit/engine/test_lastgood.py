"""Which broken file a kept version belongs to, and what of it can be had again."""

from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.loaded_file import LoadedFile
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.last_good_version import LastGood, LostVersion
from headrace.model.pipeline import Pipeline, Step
from headrace.model.stored import stored

BROKEN = (
    "/now/pipelines/a.yaml", "/now/pipelines/sub/a.yaml", "/now/pipelines/0/a.yaml",
    "/now/pipelines/_defaults.yaml",
)  # fmt: skip
KEPT = Pipeline("a", "", "", "v1", (Step("only", "GoneJob"),))


@pytest.fixture
def last_good() -> LastGood:
    settings = Settings(
        project=Path("/now"), home=Path("/now/home"), pipelines=Path("/now/pipelines")
    )
    return LastGood(settings, Registry("headrace.jobs"))


@pytest.mark.parametrize(
    ("was", "found"),
    [
        ("/now/pipelines/a.yaml", "/now/pipelines/a.yaml"),
        ("/now/pipelines/sub/a.yaml", "/now/pipelines/sub/a.yaml"),
        # Moved within the folder: removed there.
        ("/now/pipelines/other/a.yaml", None),
        # Another release's folder.
        ("/before/pipelines/a.yaml", "/now/pipelines/a.yaml"),
        ("/before/pipelines/sub/a.yaml", "/now/pipelines/sub/a.yaml"),
        ("/before/pipelines/0/a.yaml", "/now/pipelines/0/a.yaml"),
        ("/before/pipelines/b.yaml", None),
    ],
)
def test_a_version_belongs_to_the_file_at_its_place(
    last_good: LastGood, was: str, found: str | None
) -> None:
    broken = {path: LoadedFile(path) for path in BROKEN}
    assert last_good.file_of({"name": "a", "file": was}, broken) == found


def test_of_another_release_the_file_that_names_another_pipeline_is_not_taken(
    last_good: LastGood,
) -> None:
    broken = {BROKEN[0]: LoadedFile(BROKEN[0], "b")}
    row = {"name": "a", "file": "/before/pipelines/a.yaml"}
    assert last_good.file_of(row, broken) is None


def test_what_a_leader_of_an_earlier_version_has_left_in_the_row_is_not_taken_for_its_own(
    last_good: LastGood,
) -> None:
    row = {"name": "a", "version": "v1", "source": None, "built": stored(KEPT)}
    found = last_good.version(row, BROKEN[1])
    assert isinstance(found, Pipeline)
    assert (found.steps, found.folder) == (KEPT.steps, "/now/pipelines/sub")
    assert found.file == BROKEN[1]

    found = last_good.version({**row, "version": "v2"}, BROKEN[1])
    assert isinstance(found, LostVersion)
    assert "fix the file" in found.why


GOOD = "name: a\ndescription: kept\nsteps: [{id: only, job: Fibonacci, with: {n: 3}}]\n"


@pytest.mark.parametrize("built", [None, b"{", b'{"of": "a later version"}'])
def test_a_form_that_cannot_be_read_is_made_of_the_text_again(
    last_good: LastGood, built: bytes | None
) -> None:
    row = {"name": "a", "version": "v1", "source": GOOD.encode(), "built": built}

    found = last_good.version(row, BROKEN[0])

    assert isinstance(found, Pipeline)
    assert (found.name, found.description) == ("a", "kept")
    assert found.folder == "/now/pipelines"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            GOOD.replace("Fibonacci", "GoneJob"),
            ': /now/pipelines/a.yaml:3:25: step "only" names an unknown job',
        ),
        (GOOD.replace("name: a", "name: b"), ""),
    ],
)
def test_a_text_that_is_no_longer_valid_or_another_pipelines_is_lost(
    last_good: LastGood, source: str, why: str
) -> None:
    row = {"name": "a", "version": "v1", "source": source.encode(), "built": None}

    found = last_good.version(row, BROKEN[0])

    assert isinstance(found, LostVersion)
    assert found.path == BROKEN[0]
    said = f"its last valid version can no longer be read{why}"
    assert found.why[: len(said) if why else None] == said
