"""How a generated pipeline has to end, by the words of docs/reference/pipeline.md alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from tests.support.generated_pipelines import Step


@dataclass(frozen=True, slots=True)
class Job:
    """The end of a job; `tries` is None where nothing is said of them."""

    status: str
    skip_reason: str | None = None
    tries: int | None = None
    allowed: bool = False

    @property
    def counts_as(self) -> str:
        """How rules count it: completed, failed, blocked (skipped after a failure) or skipped."""
        if self.status == "failed" and self.allowed:
            return "completed"
        if self.status == "skipped":
            return "blocked" if self.skip_reason == "upstream_failed" else "skipped"
        return self.status


@dataclass
class Expected:
    """The jobs of a run by name, and its status."""

    jobs: dict[str, Job] = field(default_factory=dict)
    status: str = "completed"

    def ends(self) -> dict[str, Job]:
        """Return the jobs with their status and the reason, and no more."""
        return {step: Job(job.status, job.skip_reason) for step, job in self.jobs.items()}

    def tries(self) -> dict[str, int]:
        """Return how often each job has been tried, of those of which that is said."""
        return {step: job.tries for step, job in self.jobs.items() if job.tries is not None}


def verdict(rule: str, above: list[str]) -> str:
    """Return `run`, or the reason for which the step is skipped; `above` is how each one counts."""
    completed, failed = above.count("completed"), above.count("failed")
    blocked, skipped = above.count("blocked"), above.count("skipped")
    after_failure = failed + blocked > 0
    reason = "upstream_failed" if after_failure else "condition"
    runs = {
        "all_success": completed == len(above),
        "all_done": True,
        "all_failed": completed + skipped == 0,
        "one_success": completed > 0,
        "one_failed": after_failure,
        "one_done": completed + failed > 0,
        "none_failed": not after_failure,
        "none_failed_min_one_success": not after_failure and completed > 0,
        "always": True,
    }[rule]
    if runs or not above:
        return "run"
    return "condition" if rule in ("all_failed", "one_failed") else reason


def expected(steps: list[Step]) -> Expected:
    """Return how the run ends."""
    found = Expected()
    seen: dict[str, list[Job]] = {}
    for step in steps:
        if not step.handler:
            _run(step, found, seen, _verdict(step, seen))
    found.status = _outcome(found.jobs.values())
    outcome = {"completed": "success", "failed": "failure"}[found.status]
    for step in steps:
        if step.handler:
            due = step.handler in ("finally", outcome)
            _run(step, found, seen, "run" if due else "condition")
    found.status = _outcome(found.jobs.values())
    return found


def _outcome(jobs: Iterable[Job]) -> str:
    failed = any(job.status == "failed" and not job.allowed for job in jobs)
    return "failed" if failed else "completed"


def _verdict(step: Step, seen: dict[str, list[Job]]) -> str:
    if step.rule == "always":
        return "run"
    above = chain.from_iterable(seen[name] for name in step.depends_on)
    return verdict(step.rule, [job.counts_as for job in above])


def _run(step: Step, found: Expected, seen: dict[str, list[Job]], said: str) -> None:
    """Enter the step's jobs, and what steps below count of it."""
    if said == "run" and step.when in seen and seen[step.when][0].status != "completed":
        said = "condition"
    if said == "run" and step.when == "no":
        said = "condition"
    made = _jobs(step, seen, said)
    found.jobs |= made
    seen[step.id] = list(made.values())
    # Where a job has made the items, they count instead of it.
    if len(made) > 1 and step.id in made:
        seen[step.id] = [job for name, job in made.items() if name != step.id]


def _jobs(step: Step, seen: dict[str, list[Job]], said: str) -> dict[str, Job]:
    ends = {f"{step.id}[{n}]": at for n, at in enumerate(step.items or ())}
    if step.items is None:
        ends = {step.id: step.at}
    makes = bool(step.source) or step.items == ()
    names = [step.id] if makes else list(ends)
    if said != "run":
        return {name: Job("skipped", said, 0) for name in names}
    if not makes:
        return {name: _end(step, at) for name, at in ends.items()}
    if step.source and seen[step.source][0].status != "completed":
        # There is no list to make the items of.
        return {step.id: Job("failed", allowed=step.allow_failure)}
    return {step.id: Job("completed"), **{name: _end(step, at) for name, at in ends.items()}}


def _end(step: Step, at: int) -> Job:
    if step.child:
        return Job("completed" if step.at == 1 else "failed", allowed=step.allow_failure)
    tries = min(at, step.retries + 1)
    status = "completed" if at <= step.retries + 1 else "failed"
    return Job(status, tries=tries, allowed=step.allow_failure)
