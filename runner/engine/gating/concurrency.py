"""Decides whether a new run may start, and handles it and others if it may not."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from headrace.engine.gating.run_completion import Within, after_finish, cancel_run
from headrace.model.pipeline import Concurrency
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.database import Transaction
from headrace.store.row_types import NewRun, OpenRun


@dataclass(frozen=True, slots=True)
class Admission:
    """The status in which a new run begins, and the open runs that it replaces.

    The status `replace` is admitted by `admit_replacement`, once those are cancelled.
    """

    status: str
    error: str | None = None
    replaced: Sequence[UUID] = ()


@dataclass(slots=True)
class _Group:
    """`ending` are runs that were cancelled and have `finally` handlers to run."""

    running: list[UUID] = field(default_factory=list)
    queued: list[UUID] = field(default_factory=list)
    ending: int = 0


class Groups:
    """The open runs of some groups, held by the caller's transaction. New ones are added."""

    def __init__(self, open_runs: Iterable[OpenRun] = ()) -> None:
        self._groups: dict[str, _Group] = {}
        for row in open_runs:
            group = self._group(row["concurrency_group"])
            if row["status"] != "running":
                group.queued.append(row["id"])
            elif row["ending"]:
                group.ending += 1
            else:
                group.running.append(row["id"])

    def admit(self, run: UUID, rule: Concurrency) -> Admission:
        """Admit one new run; the next one sees it.

        For `replace` see `admit_replacement`.
        """
        group = self._group(rule.group)
        free = rule.limit - len(group.running) - group.ending
        if free > 0 and not (group.queued and rule.on_conflict == "queue"):
            group.running.append(run)
            return Admission("running")
        if rule.on_conflict == "queue":
            group.queued.append(run)
            return Admission("queued")
        if rule.on_conflict == "replace":
            return self._replace(group, rule)
        status = "skipped" if rule.on_conflict == "skip" else "failed"
        return Admission(status, _reason(rule, group))

    def admit_replacement(self, run: UUID, rule: Concurrency, ending: int) -> Admission:
        """Admit a run once those that it replaces are cancelled.

        `ending` of them have `finally` handlers to run first, which the new run waits for.
        """
        group = self._group(rule.group)
        group.ending += ending
        if len(group.running) + group.ending < rule.limit:
            group.running.append(run)
            return Admission("running")
        group.queued.append(run)
        return Admission("queued")

    def _replace(self, group: _Group, rule: Concurrency) -> Admission:
        alive = [*group.running, *group.queued]
        replaced = alive[: max(0, len(alive) + 1 - rule.limit)]
        group.running = [one for one in group.running if one not in replaced]
        group.queued = [one for one in group.queued if one not in replaced]
        return Admission("replace", None, replaced)

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())


def _reason(rule: Concurrency, group: _Group) -> str:
    running = len(group.running)
    return (
        f"{running} {'run is' if running == 1 else 'runs are'} running of the {rule.limit}"
        f" that may at a time (concurrency, on_conflict: {rule.on_conflict})"
    )


def lock_groups(tx: Transaction, rules: Mapping[str, Concurrency | None]) -> Groups:
    """Hold the groups of these rules to the transaction's end; returns what is open in them."""
    names = sorted({rule.group for rule in rules.values() if rule is not None})
    if not names:
        return Groups()
    tx.rows("lock_groups", groups=names)
    return Groups(tx.rows(queries.OPEN_RUNS_OF_GROUPS, groups=names))


def admit_runs(
    tx: Transaction, runs: Sequence[NewRun], rules: Mapping[str, Concurrency | None], groups: Groups
) -> tuple[list[NewRun], list[Message]]:
    """Admit what was inserted as queued. `rules` are by run id, `groups` from `lock_groups`.

    Returns the rows as they are now and messages to send: others may wait for jobs that were
    cancelled with a run whose place was taken.
    """
    admitted: dict[UUID, Admission] = {}
    messages: list[Message] = []
    for run in runs:
        rule = rules[str(run["id"])]
        if rule is None:
            continue
        admission = groups.admit(run["id"], rule)
        ending = 0
        for old in admission.replaced:
            if old in admitted:
                admitted[old] = Admission("cancelled", _taken(run["id"]))
            else:
                sent, goes_on = _replaced(tx, old, run["id"])
                messages += sent
                ending += goes_on
        if admission.status == "replace":
            admission = groups.admit_replacement(run["id"], rule, ending)
        admitted[run["id"]] = admission
    entries = [
        {"id": str(run_id), "status": one.status, "error": one.error}
        for run_id, one in admitted.items()
    ]
    rows = tx.rows(queries.ADMIT_RUNS, runs=json.dumps(entries)) if entries else []
    now = {row["id"]: row for row in rows}
    return [now.get(run["id"], run) for run in runs], messages


def _replaced(tx: Transaction, old: UUID, new: UUID) -> tuple[list[Message], bool]:
    """Cancel a run whose place is taken; return whether it goes on for its `finally` handlers."""
    rows, messages = cancel_run(tx, old, _taken(new))
    goes_on = [row for row in rows if row["status"] == "running"]
    messages += after_finish(Within(tx), goes_on)[1]
    return messages, any(row["id"] == old for row in goes_on)


def _taken(run: UUID) -> str:
    return f"run {run} has replaced it (concurrency, on_conflict: replace)"
