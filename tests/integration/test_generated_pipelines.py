"""Generated pipelines run for real, and each step ends as the reference says."""

import random
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.queue.message import Message
from headrace.testing import RunOutcome, pipeline_run, run_pipeline
from headrace.testing.kept_messages import KeptMessages
from tests.support.generated import budget
from tests.support.generated_pipelines import Step, lay_out, pipelines, tries
from tests.support.invariants import install_audit, violations
from tests.support.pipeline_model import Job, expected

_CONFIG = "job_packages: [tests]\npools: {narrow: 1}\n"
_NUMBERS = count()


def told(run: RunOutcome) -> dict[str, Job]:
    return {step: Job(one.status, one.skip_reason) for step, one in run.steps.items()}


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
@budget(8)
@given(pipelines(), st.integers(0, 999))
def test_each_step_of_a_generated_pipeline_ends_as_its_rules_say(
    audited: str, tmp_path: Path, steps: list[Step], order: int
) -> None:
    Shuffled.chance = random.Random(order)
    name = f"p{next(_NUMBERS)}"
    for made in ("pipelines", "tries"):
        shutil.rmtree(tmp_path / made, ignore_errors=True)
    (tmp_path / "config.yaml").write_text(_CONFIG)
    lay_out(tmp_path, {name: steps})
    model = expected(steps)

    run = run_pipeline(name, database=audited, project=tmp_path)

    assert told(run) == model.ends()
    assert tries(tmp_path, name, model.tries()) == model.tries()
    assert run.status == model.status
    assert not violations(audited)
