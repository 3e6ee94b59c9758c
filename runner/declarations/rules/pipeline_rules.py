"""Rules for a pipeline, beyond its schema: one function per rule.

Each takes the draft of one file and yields what is wrong with it. `RULES` lists them.
"""

import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from headrace.declarations.draft import Draft, DraftStep, Finding
from headrace.declarations.rules.calendar_rules import calendar_files_exist, calendars_count_days
from headrace.declarations.rules.cycles import cycles
from headrace.declarations.rules.env_rules import (
    defaults_speak_of_no_step,
    folder_templates_are_well_formed,
    references_are_names,
    variables_may_be_set,
)
from headrace.declarations.rules.notify_rules import receivers_exist
from headrace.declarations.rules.param_rules import constraints_make_sense, defaults_fit
from headrace.declarations.rules.pipeline_triggers import (
    trigger_params_fit,
    triggers_are_others,
    triggers_speak_of_upstream,
)
from headrace.declarations.rules.retry_rules import retried_errors_make_sense
from headrace.declarations.rules.schedule_rules import (
    durations_make_sense,
    moments_exist,
    schedules_can_fire,
)
from headrace.declarations.rules.subpipeline_rules import pipelines_have_keys_of_their_own
from headrace.declarations.rules.template_rules import (
    conditions_are_expressions,
    items_have_a_name_of_their_own,
    items_stand_apart_from_steps,
    templates_can_be_rendered,
    templates_keep_to_their_values,
    templates_refer_to_what_there_is,
)
from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import is_template, scalars
from headrace.errors.suggestions import did_you_mean

_JOB_HINT = "`headrace jobs --types` shows what each job takes"
_QUEUE_HINT = "(`queues` in config.yaml names them)"

# As the schema has them: a name that cannot be one has been reported.
_QUEUE = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]*")
_POOL = re.compile("[A-Za-z_][A-Za-z0-9_-]*")

Rule = Callable[[Draft], Iterator[Finding]]


def step_ids_are_unique(draft: Draft) -> Iterator[Finding]:
    """No two steps share an id."""
    first: dict[str, str] = {}
    for step in draft.all_steps:
        if step.id is None:
            continue
        name = f"{'handler' if step.is_handler else 'step'} {int(step.path[-1]) + 1}"
        if step.id in first:
            message = f'{name} has the id "{step.id}" of {first[step.id]}'
            yield Finding((*step.path, "id"), "duplicate-step", message, "give it a unique id")
        first.setdefault(step.id, name)


def dependencies_exist(draft: Draft) -> Iterator[Finding]:
    """A step depends on other steps of its file only."""
    known = set(draft.ids)
    for step in draft.steps:
        for path, name in step.dependencies():
            if name == step.id:
                message = f"{step.label} depends on itself"
                yield Finding(path, "self-dependency", message, "remove it from depends_on")
            elif name not in known:
                others = [other for other in draft.ids if other != step.id]
                hint = did_you_mean(name, others, listed_as="steps") or "there is no other step"
                message = f'{step.label} depends on an unknown step "{name}"'
                yield Finding(path, "unknown-dependency", message, hint)


def dependencies_have_no_cycle(draft: Draft) -> Iterator[Finding]:
    """No step waits, through others, for itself."""
    steps: dict[str, DraftStep] = {}
    for step in draft.steps:
        if step.id is not None:
            steps.setdefault(step.id, step)
    needs = {
        name: [other for _, other in step.dependencies() if other in steps and other != name]
        for name, step in steps.items()
    }
    for cycle in cycles(needs):
        first, second = cycle[0], cycle[1]
        path = next(path for path, name in steps[first].dependencies() if name == second)
        chain = ", ".join(f"{a} needs {b}" for a, b in pairwise(cycle))
        message = f"the steps wait for each other in a cycle: {chain}"
        yield Finding(path, "cycle", message, "remove one of these dependencies")


def trigger_rules_have_dependencies(draft: Draft) -> Iterator[Finding]:
    """A trigger rule stands only at a step that waits for others."""
    for step in draft.steps:
        if "trigger_rule" in step.data and not step.data.get("depends_on"):
            message = f"{step.label} has a trigger_rule but depends on no step"
            hint = "add depends_on, or remove the trigger_rule"
            yield Finding((*step.path, "trigger_rule"), "no-dependencies", message, hint, True)


def handlers_wait_for_all_steps(draft: Draft) -> Iterator[Finding]:
    """A handler runs when the steps have ended, and depends on nothing else."""
    for step in draft.handlers:
        for key in ("depends_on", "trigger_rule"):
            if key in step.data:
                message = f"{step.label} has a {key}, but a handler waits for all steps"
                hint = "remove it; steps.ID.status in its `when` gives the outcome of a step"
                yield Finding((*step.path, key), "handler-dependency", message, hint, True)


def jobs_fit(draft: Draft) -> Iterator[Finding]:
    """A step names a job class that exists and gives it what it takes."""
    for step in draft.all_steps:
        job = step.text("job")
        if not job:
            continue
        for keys, code, message, hint in draft.catalogue.check(job, step.with_):
            if code == "unknown-job":
                names = draft.catalogue.names()
                guess = hint or did_you_mean(job, names, listed_as="jobs") or _JOB_HINT
                told = f"{step.label} names an {message}"
                if not message.startswith("unknown job"):  # Its file is broken, for example.
                    told = f"{step.label}: {message}"
                yield Finding((*step.path, "job"), code, told, guess)
            else:
                path, of_key = _argument_place(step, keys, code)
                yield Finding(path, code, f"{step.label}: {message}", hint or _JOB_HINT, of_key)


def _argument_place(step: DraftStep, keys: KeyPath, code: str) -> tuple[KeyPath, bool]:
    if keys and keys[0] in step.with_:
        return (*step.path, "with", *keys), code == "unknown-parameter"
    return (*step.path, "with" if "with" in step.data else "job"), "with" in step.data


def queues_exist(draft: Draft) -> Iterator[Finding]:
    """A job goes to a queue that some worker listens to."""
    places: list[tuple[KeyPath, object]] = [
        ((*step.path, "queue"), step.data.get("queue")) for step in draft.all_steps
    ]
    for path, name in [(("defaults", "queue"), draft.mapping("defaults").get("queue")), *places]:
        if isinstance(name, str) and _QUEUE.fullmatch(name) and name not in draft.settings.queues:
            hint = did_you_mean(name, draft.settings.queues, listed_as="queues")
            message = f'unknown queue "{name}"'
            yield Finding(path, "unknown-queue", message, f"{hint} {_QUEUE_HINT}")


def pools_exist(draft: Draft) -> Iterator[Finding]:
    """A step takes the slots of one pool, and of one that is configured."""
    pools = draft.settings.pools
    for step in draft.all_steps:
        name, foreach = step.text("pool"), step.data.get("foreach")
        if not name or not _POOL.fullmatch(name):
            continue
        if isinstance(foreach, dict) and "max_concurrent" in foreach:
            message = f"{step.label} has a pool and foreach.max_concurrent"
            hint = "remove one of the two"
            yield Finding((*step.path, "pool"), "conflicting-keys", message, hint, True)
        if name not in pools:
            hint = did_you_mean(name, pools, listed_as="pools")
            hint = f"{hint} (`pools` in config.yaml names them)".strip()
            yield Finding((*step.path, "pool"), "unknown-pool", f'unknown pool "{name}"', hint)


def connections_exist(draft: Draft) -> Iterator[Finding]:
    """A job uses a connection of the configuration."""
    known = draft.settings.connections
    for step in draft.all_steps:
        if "pipeline" in step.data:
            continue  # What it is given are parameters, whatever their names.
        name = step.with_.get("connection")
        if not isinstance(name, str) or is_template(name) or name in known:
            continue
        hint = did_you_mean(name, known, listed_as="connections")
        hint = hint or "name it under `connections` in config.yaml"
        message = f'{step.label} uses an unknown connection "{name}"'
        yield Finding((*step.path, "with", "connection"), "unknown-connection", message, hint)


def values_can_be_stored(draft: Draft) -> Iterator[Finding]:
    """Values fit into JSON."""
    given = scalars(draft.trigger().get("with"), ("trigger", "with"))
    for path, value in [*draft.values(), *given]:
        if isinstance(value, float) and not math.isfinite(value):
            message = "an infinite or undefined number cannot be stored"
            yield Finding(path, "bad-value", message, "leave it out, or write it as text in quotes")


RULES: tuple[Rule, ...] = (
    step_ids_are_unique,
    dependencies_exist,
    dependencies_have_no_cycle,
    jobs_fit,
    trigger_rules_have_dependencies,
    handlers_wait_for_all_steps,
    schedules_can_fire,
    moments_exist,
    calendars_count_days,
    calendar_files_exist,
    durations_make_sense,
    retried_errors_make_sense,
    queues_exist,
    pools_exist,
    pipelines_have_keys_of_their_own,
    connections_exist,
    constraints_make_sense,
    defaults_fit,
    templates_refer_to_what_there_is,
    conditions_are_expressions,
    triggers_are_others,
    trigger_params_fit,
    triggers_speak_of_upstream,
    items_have_a_name_of_their_own,
    items_stand_apart_from_steps,
    templates_can_be_rendered,
    templates_keep_to_their_values,
    values_can_be_stored,
    variables_may_be_set,
    references_are_names,
    defaults_speak_of_no_step,
    receivers_exist,
)

# Those that a _defaults.yaml can break.
RULES_OF_DEFAULTS: tuple[Rule, ...] = (
    durations_make_sense,
    retried_errors_make_sense,
    queues_exist,
    variables_may_be_set,
    references_are_names,
    defaults_speak_of_no_step,
    folder_templates_are_well_formed,
    receivers_exist,
)
