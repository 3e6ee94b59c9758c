"""Whether a new run may run at once, and what becomes of it and of others if it may not."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from runner.engine.runs import cancel_run
from runner.model.pipeline import Concurrency
from runner.queue.message import Message
from runner.store.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class Settled:
    """What a new run begins as, and the running ones that it takes the place of."""

    status: str
    error: str | None = None
    replaced: Sequence[UUID] = ()


@dataclass(slots=True)
class _Group:
    running: list[UUID] = field(default_factory=list)
    queued: int = 0


class Groups:
    """The open runs of some groups, held by the caller's transaction. New ones are added."""

    def __init__(self, open_runs: Iterable[Row] = ()) -> None:
        self._groups: dict[str, _Group] = {}
        for row in open_runs:
            group = self._groups.setdefault(row["concurrency_group"], _Group())
            if row["status"] == "running":
                group.running.append(row["id"])
            else:
                group.queued += 1

    def settle(self, run: UUID, rule: Concurrency) -> Settled:
        """Decide about one new run; the next one sees it."""
        group = self._groups.setdefault(rule.group, _Group())
        free = rule.limit - len(group.running)
        if free > 0 and not (group.queued and rule.on_conflict == "queue"):
            group.running.append(run)
            return Settled("running")
        if rule.on_conflict == "queue":
            group.queued += 1
            return Settled("queued")
        if rule.on_conflict == "replace":
            replaced = group.running[: 1 - free]
            group.running = [*group.running[1 - free :], run]
            return Settled("running", None, replaced)
        status = "skipped" if rule.on_conflict == "skip" else "failed"
        return Settled(status, _reason(rule, group))


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
    return Groups(tx.rows("open_runs_of_groups", groups=names))


def settle_runs(
    tx: Transaction, runs: list[Row], rules: Mapping[str, Concurrency | None], groups: Groups
) -> tuple[list[Row], list[Message]]:
    """Settle what was inserted as queued. `rules` are by run id, `groups` from `lock_groups`.

    Returns the rows as they are now and messages to send: others may wait for jobs that were
    cancelled with a run whose place was taken.
    """
    settled: dict[UUID, Settled] = {}
    replaced: dict[UUID, UUID] = {}
    for run in runs:
        rule = rules[str(run["id"])]
        if rule is not None:
            settled[run["id"]] = decided = groups.settle(run["id"], rule)
            replaced.update((old, run["id"]) for old in decided.replaced)
    for old, new in replaced.items():
        if old in settled:
            settled[old] = Settled("cancelled", _taken(new))
    entries = [
        {"id": str(run_id), "status": one.status, "error": one.error}
        for run_id, one in settled.items()
    ]
    rows = tx.rows("settle_runs", runs=json.dumps(entries)) if entries else []
    now = {row["id"]: row for row in rows}
    messages: list[Message] = []
    for old, new in replaced.items():
        if old not in settled:
            messages += cancel_run(tx, old, _taken(new))[1]
    return [now.get(run["id"], run) for run in runs], messages


def _taken(run: UUID) -> str:
    return f"run {run} has taken its place (concurrency, on_conflict: replace)"
