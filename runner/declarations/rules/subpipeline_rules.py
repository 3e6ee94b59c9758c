"""Rules for a step that runs a pipeline, beyond its schema."""

from collections.abc import Iterator

from headrace.declarations.draft import Draft, Finding

# How a job runs says its own step, in the file of the pipeline that is run.
_OF_JOBS = ("queue", "pool", "retry", "timeout", "env")


def pipelines_have_keys_of_their_own(draft: Draft) -> Iterator[Finding]:
    """A step that runs a pipeline does not say how jobs run."""
    for step in draft.all_steps:
        name = step.text("pipeline")
        if name is None:
            continue
        for key in _OF_JOBS:
            if key in step.data:
                message = f'{step.label} has a {key} and runs the pipeline "{name}"'
                hint = f"remove it; the steps of {name} have their own"
                yield Finding((*step.path, key), "conflicting-keys", message, hint, True)
