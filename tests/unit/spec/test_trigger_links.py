"""Triggers across files, beside pipelines that stay active although their file is broken."""

from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.loaded_file import LoadedFile
from headrace.declarations.one_file import load_text
from headrace.declarations.trigger_links import across_triggers
from tests.support.catalogue import SmallCatalogue

FOLDER = Path("pipelines")
SETTINGS = Settings(FOLDER, FOLDER, FOLDER)
AFTER_R = "name: p\ntrigger: {pipelines: [r]}\nsteps: [{id: a, pipeline: q}]\n"
RUNS_R = "name: q\nsteps: [{id: a, pipeline: r}]\n"
PLAIN = "name: r\nsteps: [{id: a, job: FailedJob}]\n"


def loaded(text: str) -> LoadedFile:
    name = text.split()[1]
    found = load_text(text.encode(), FOLDER / f"{name}.yaml", SmallCatalogue(), SETTINGS)
    assert found.problems == []
    return found


@pytest.mark.parametrize("active", [True, False])
def test_a_cycle_through_a_pipeline_that_stays_active_is_told(active: bool) -> None:
    staying = loaded(AFTER_R).pipeline
    assert staying is not None
    files = [loaded(RUNS_R), loaded(PLAIN)]
    if not active:
        files.append(loaded(AFTER_R))

    found = list(across_triggers(files, kept={"p": staying} if active else None))

    told = {(file, problem.code) for file, problem in found}
    assert ("pipelines/q.yaml", "pipeline-cycle") in told
    assert ("pipelines/p.yaml", "pipeline-cycle") in told or active
    messages = {problem.message for _, problem in found}
    assert len(messages) == 1
    assert "p after r" in messages.pop()


def test_where_nothing_is_triggered_there_is_nothing_to_tell() -> None:
    staying = loaded(PLAIN).pipeline
    assert staying is not None

    assert list(across_triggers([loaded(RUNS_R)], kept={"r": staying})) == []
