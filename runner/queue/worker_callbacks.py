"""Callbacks from the warm worker to the engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self
from uuid import UUID

from headrace.queue.process import signal_name
from headrace.queue.shared_memory import TAKEN, ChildRecord, ChildView


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that its child did not end itself.

    `outcome` is crashed, timed_out, released, cancelled or taken_away. `claimed` is False for a
    message that was taken and perhaps not yet claimed; `attempt` is then the message's number.
    `held` are further messages that the child had taken (see `ChildView`).
    """

    job_id: str
    attempt: int
    outcome: str
    error: str
    traceback: str = ""
    claimed: bool = True
    held: tuple[tuple[UUID, int], ...] = ()

    @classmethod
    def crashed(cls, view: ChildView, pid: int, status: int) -> Self:
        """The child died: of a signal, or by leaving."""
        if status < 0:
            how = f"was killed by {signal_name(-status)}"
        else:
            how = f"left with exit code {status}"
        claimed = view.state != TAKEN
        return cls(
            str(view.job_id),
            view.attempt,
            "crashed",
            f"the worker process {pid} {how}",
            claimed=claimed,
            held=view.held,
        )

    @classmethod
    def too_large(cls, view: ChildView, pid: int, limit: int) -> Self:
        """The child used more memory than a child may."""
        error = f"the worker process {pid} was stopped: it used more than {limit >> 20} MB"
        return cls(str(view.job_id), view.attempt, "crashed", error, held=view.held)

    @classmethod
    def timed_out(cls, view: ChildView, trace: str) -> Self:
        """The attempt passed its deadline and its process group was killed."""
        return cls(
            str(view.job_id),
            view.attempt,
            "timed_out",
            "timed out: the job ran longer than its timeout and was stopped",
            trace,
            held=view.held,
        )

    @classmethod
    def given_back(cls, view: ChildView) -> Self:
        """The worker stops and gives the attempt back."""
        return cls(
            str(view.job_id),
            view.attempt,
            "released",
            "the worker was stopped",
            claimed=view.state != TAKEN,
            held=view.held,
        )

    @classmethod
    def stopped(cls, view: ChildView) -> Self:
        """Somebody stopped the job over RQ's channel."""
        return cls(
            str(view.job_id), view.attempt, "cancelled", "stopped on request", held=view.held
        )

    @classmethod
    def taken_away(cls, view: ChildView) -> Self:
        """The row says that the attempt is over; nothing is left to write."""
        return cls(str(view.job_id), view.attempt, "taken_away", "", held=view.held)


class WorkerHooks(Protocol):
    """The engine's side of a worker."""

    def run_child(self, record: ChildRecord) -> None:
        """The child's whole life. Runs in the child; returns when it has to be replaced."""
        ...

    def about_to_fork(self, index: int) -> None:
        """Prepare what the child of this record and its parent have in common."""
        ...

    def forked(self, index: int) -> None:
        """In the parent, after the fork: let go of what is the child's."""
        ...

    def child_ended(self, view: ChildView, index: int) -> None:
        """Take what a child that has ended has said and could not send."""
        ...

    def keep_logs(self, running: Sequence[tuple[int, UUID, int]]) -> float | None:
        """Write what jobs that run (record, job, attempt) have said.

        Returns in how many seconds there will be more to write, None where nothing is known.
        """
        ...

    def record_results(self) -> float | None:
        """Record what children have ended whose present job takes long, without waiting for it.

        Returns in how many seconds to look again; None if a child wakes the parent before there
        is anything to see.
        """
        ...

    def while_waiting(self, look: Callable[[float], float | None]) -> None:
        """Have `look` called whenever one of the calls below waits for the database.

        It is told how many seconds the wait has taken; it returns how many more it may take
        before it is asked again, or None to give it up. It must call no hook.
        """
        ...

    def register(self) -> bool:
        """Make the worker known before it takes anything; False to be asked again later."""
        ...

    def heartbeat(
        self, status: str, running: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], bool]:
        """Say that the worker lives; return which of its running attempts it has lost.

        True for a job that was cancelled: nobody else has begun with that one.

        Never raises for an outage: then nothing is lost.
        """
        ...

    def ended(self, attempts: Sequence[Ended]) -> bool:
        """Record attempts that their children did not end; False to be asked again later."""
        ...

    def end_backend(self, backend_pid: int) -> None:
        """End a killed child's transaction at the control database, and its locks."""
        ...

    def stopped(self) -> None:
        """The worker stops."""
        ...
