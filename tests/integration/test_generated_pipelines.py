"""Generated pipelines run for real, and each step ends as the reference says."""

import random
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headrace.queue.message import Message
from headrace.testing import RunOutcome, pipeline_run, run_pipeline
from headrace.testing.kept_messages import KeptMessages
from tests.support.generated import budget
from tests.support.generated_pipelines import Step, children, document, pipelines
from tests.support.invariants import install_audit, violations
from tests.support.pipeline_model import Job, expected

_CONFIG = "job_packages: [tests]\npools: {narrow: 1}\n"
_NUMBERS = count()


def lay_out(project: Path, name: str, steps: list[Step]) -> None:
    folder, tries = project / "pipelines", project / "tries"
    for made in (folder, tries):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
    (project / "config.yaml").write_text(_CONFIG)
    for called, text in {**children(tries), name: document(name, steps, tries)}.items():
        (folder / f"{called}.yaml").write_text(yaml.safe_dump(text, sort_keys=False))


def told(run: RunOutcome, project: Path, name: str) -> dict[str, tuple[Any, ...]]:
    return {
        step: (one.status, one.skip_reason, tries_of(project, name, step))
        for step, one in run.steps.items()
    }


def tries_of(project: Path, name: str, step: str) -> int:
    called, bracket, index = step.partition("[")
    files = list((project / "tries").glob(f"{name}-{called}-*{index.rstrip(']')}"))
    file = files[0] if bracket and files else project / "tries" / f"{name}-{called}"
    return file.stat().st_size if file.is_file() else 0


def wanted(jobs: dict[str, Job], found: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the model's jobs; where it says nothing of the tries, as many as there were."""
    return {
        step: (
            job.status,
            job.skip_reason,
            found.get(step, (0, 0, 0))[2] if job.tries is None else job.tries,
        )
        for step, job in jobs.items()
    }


class Shuffled(KeptMessages):
    """Hands the messages out in any order: jobs that may run side by side end in any order."""

    chance = random.Random()

    def send(self, messages: Any) -> None:
        sent: list[Message] = [*self.kept, *messages]
        self.chance.shuffle(sent)
        self.kept.clear()
        self.kept.extend(sent)


@pytest.fixture
def audited(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    install_audit(database)
    monkeypatch.setattr(pipeline_run, "KeptMessages", Shuffled)
    return database


@pytest.mark.timeout(600)
@budget(12)
@given(pipelines(), st.integers(0, 999))
def test_each_step_of_a_generated_pipeline_ends_as_its_rules_say(
    audited: str, tmp_path: Path, steps: list[Step], order: int
) -> None:
    Shuffled.chance = random.Random(order)
    name = f"p{next(_NUMBERS)}"
    lay_out(tmp_path, name, steps)
    model = expected(steps)

    run = run_pipeline(name, database=audited, project=tmp_path)

    found = told(run, tmp_path, name)
    assert found == wanted(model.jobs, found)
    assert run.status == model.status
    assert not violations(audited)
