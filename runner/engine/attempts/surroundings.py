"""What a job is told of its attempt, and what all attempts of a worker have in common."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from headrace import jobapi
from headrace.engine.planning.deferred_templates import Render
from headrace.jobapi.folders import Folders
from headrace.jobapi.progress import Meter
from headrace.observe.joblog import JobLog
from headrace.store.attempts import Claimed
from headrace.store.notices import notices_heard
from headrace.store.sessions import JobSessions


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every attempt of a worker has in common. `render` fills late templates in."""

    project: Path
    folders: Folders
    render: Render
    permissions: jobapi.Permissions = field(default_factory=jobapi.Permissions)


class JobAttempts:
    """Makes what jobs see of their attempts, in one child process."""

    def __init__(self, surroundings: Surroundings, sessions: JobSessions, log: JobLog) -> None:
        self._surroundings = surroundings
        self._sessions = sessions
        self._log = log
        self._folders_of = lru_cache(256)(surroundings.folders.of)

    def of(self, claimed: Claimed, meter: Meter) -> jobapi.Attempt:
        """Return what the job of this attempt sees; `meter` counts its progress."""
        place = self._surroundings
        return jobapi.Attempt(
            job_id=str(claimed.id),
            attempt=claimed.attempt,
            project=place.project,
            folders=self._folders_of(claimed.folder),
            sessions=self._sessions,
            pipeline=claimed.pipeline,
            step=claimed.step,
            run_id=str(claimed.run_id) if claimed.run_id else None,
            logical_date=claimed.due,
            permissions=place.permissions,
            say=self._log.say,
            notices=notices_heard,
            authored=claimed.pipeline is not None,
            meter=meter,
        )
