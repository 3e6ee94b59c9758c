"""Running one claimed attempt: the job is made, handled, and its end recorded.

One attempt is a straight line: make the job, handle it, commit the other databases, complete.
Whatever goes wrong on it leads to exactly one of three ends: failed (the job's own fault),
lost (the database went away in the middle), stale (the attempt is somebody else's by now).
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from headrace import jobapi
from headrace.engine.attempts.attempt_hooks import AttemptHooks
from headrace.engine.attempts.foreach import complete_items, expand_items
from headrace.engine.attempts.job_environment import environment
from headrace.engine.attempts.job_making import job_of
from headrace.engine.attempts.job_result import stored
from headrace.engine.attempts.log_keeper import lines_of
from headrace.engine.attempts.one_message import OneMessage
from headrace.engine.attempts.outcome import Handled, Raised, raised
from headrace.engine.attempts.prompt_classes import PromptClasses
from headrace.engine.attempts.run_progress import RunProgress
from headrace.engine.attempts.subpipeline_result import child_result
from headrace.engine.attempts.surroundings import JobAttempts, Surroundings
from headrace.engine.attempts.unknown_jobs import NOBODY, given_back
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.gating.gate import update_dependants_of_failed
from headrace.engine.planning.deferred_templates import late_said
from headrace.errors import (
    ChildRunFailed,
    JobStopped,
    StaleAttempt,
    StoreUnavailable,
    TransactionEnded,
)
from headrace.hooks import registered
from headrace.jobapi.progress import Meter
from headrace.model.duration import parse_duration_s
from headrace.model.plan import FOREACH
from headrace.model.subpipeline import pipeline_of
from headrace.observe.joblog import JobLog
from headrace.observe.logs import at_hand
from headrace.observe.redaction import forget, redacted_json
from headrace.plan.error_kinds import kinds_of
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import AttemptStore, Claimed, Completed
from headrace.store.crash_points import crash_point, is_armed
from headrace.store.log_lines import LogLines
from headrace.store.outages import unavailable_message
from headrace.store.sessions import JobSessions
from headrace.template.written import forget_texts

log = logging.getLogger("headrace.worker")


# The next attempt, or what claims it before the commit.
Then = Claimed | Callable[[Completed], Claimed | None] | None


class Executor:
    """Executes attempts in one child process."""

    def __init__(
        self,
        store: AttemptStore,
        sessions: JobSessions,
        registry: Registry,
        surroundings: Surroundings,
        log: JobLog,
    ) -> None:
        self.store = store
        self.progress = RunProgress(store, store.finish_run)
        self.sessions = sessions
        self._registry, self.works_at_once = registry, registry.works_at_once
        self._surroundings = surroundings
        self._attempts = JobAttempts(surroundings, sessions, log)
        self._log = log
        self._one_message = OneMessage()
        self._prompt = PromptClasses()
        self.hooks = AttemptHooks()
        self._pid = os.getpid()
        # What jobs have said that are recorded together with a later one.
        self.lines_kept: dict[UUID, LogLines] = {}
        # Puts the process back to what it was before the job.
        self.tidy: Callable[[], None] = lambda: None
        # Makes what counts the progress of an attempt.
        self.meter_of: Callable[[Claimed], Meter] = lambda _claimed: Meter()

    # -- the connection ---------------------------------------------------------------

    def handle(self, claimed: Claimed) -> Handled | Raised:
        """Run the job's own code. Its effects on the control database stay uncommitted.

        Raises:
            StaleAttempt: The effect is another attempt's to make.
            StoreUnavailable: The control database went away.
        """
        self.sessions.begin(claimed.id, claimed.attempt)
        forget()
        forget_texts()
        self._log.begin(claimed.id, claimed.attempt)
        at_hand(claimed)
        try:
            self.hooks.before(claimed)
            jobapi.enter(self._attempts.of(claimed, self.meter_of(claimed)))
            crash_point("before-effect")
            return self._handled(claimed)
        except EffectApplied:
            # An earlier attempt has committed its effect on the target and died before it
            # could say so here: nothing is left to do but to say so.
            self.sessions.roll_back()
            ended = self.sessions.verdict()
            return raised(TransactionEnded(ended)) if ended else Handled(None)
        except (StaleAttempt, KeyboardInterrupt, JobStopped):
            raise
        except ChildRunFailed as error:
            # Where it failed, the run's own jobs tell.
            return Raised(str(error), "", permanent=True)
        except BaseException as error:
            if self.store.broken(error):
                raise StoreUnavailable(unavailable_message(error)) from error
            self.sessions.explain(error)
            return raised(error)
        finally:
            jobapi.enter(None)
            self.sessions.handled()
            self._prompt.learn(claimed.job_class, self.sessions.opened_after_s)
            self._log.end()
            self.tidy()

    def _handled(self, claimed: Claimed) -> Handled:
        if pipeline_of(claimed.job_class) is not None:
            return Handled(stored(child_result(self.store, claimed.id)))
        if claimed.late and claimed.job_class == FOREACH:
            render = self._surroundings.render
            made = expand_items(self.store, claimed, render, self._registry)
            return Handled(None, expansion=made)
        payload, env = self._said(claimed)
        with environment(env, self.sessions):
            job = job_of(self._registry, claimed.job_class, payload)
            limit = getattr(job, "lock_timeout", None)
            self.sessions.lock_timeout_s = parse_duration_s(limit) if limit else None
            self.sessions.work_as(getattr(job, "works_as", None))
            try:
                result = job.handle()
            finally:
                self._end_forked()
            encoded = redacted_json(stored(result))
        crash_point("after-effect")
        if self.sessions.sharing is None:
            self.sessions.commit_targets()
            crash_point("after-target")
        plain = not (self.sessions.used or claimed.pool)
        return Handled(encoded, plain=plain and getattr(job, "transactional", True))

    def _end_forked(self) -> None:
        """End here what is not the worker's process: a job has forked and returned twice."""
        if os.getpid() != self._pid:
            # Without any clean-up: the connections are its parent's, who goes on with them.
            os._exit(0)

    def complete(self, claimed: Claimed, handled: Handled, then: Then = None) -> Completed:
        """Record the success together with the effect. `then` is the next attempt, if one follows.

        Raises:
            StaleAttempt: The attempt is over; the effect has been rolled back.
            TransactionEnded: The job has ended its transaction; another may hold its effect.
        """
        if handled.expansion is not None:
            log, finish = self.log_lines(claimed), self.progress.finish_runs
            completed = complete_items(self.store, claimed, handled.expansion, log, finish)
            self.hooks.note(claimed, "completed")
            return completed
        self.sessions.refuse_disorder()
        number, lines = self.sessions.number, self.log_lines(claimed)
        if number is not None and self._at_once(claimed):
            following = None if callable(then) else then
            completing = self.store.completing(claimed, handled.result, lines, number)
            at_once = self._committed_at_once(claimed, completing, following)
        else:
            at_once = False
        if at_once:
            completed = Completed(claimed.run_id, claimed.dependents)
        else:
            completed = self.store.complete(claimed, handled.result, lines, xact=number)
            self.commit(then(completed) if callable(then) else then)
        self.hooks.note(claimed, "completed", result=handled.result)
        return completed

    def _at_once(self, claimed: Claimed) -> bool:
        return not is_armed("after-fence") and self._one_message.is_worth_it(claimed.dependents)

    def _committed_at_once(
        self, claimed: Claimed, completing: str, following: Claimed | None
    ) -> bool:
        """Complete and commit in one message; False where the two are to be done one by one."""
        done = self.sessions.commit_control(completing, ahead=self.begins_at_once(following))
        self._one_message.note(claimed.dependents, failed=not done)
        if done:
            crash_point("after-commit")
        return done

    def commit(self, following: Claimed | None = None) -> None:
        """Commit the effect on the control database; where `following` works there, it begins."""
        if self.sessions.number is not None:
            crash_point("after-fence")
            self.sessions.commit_control(ahead=self.begins_at_once(following))
        crash_point("after-commit")

    def begins_at_once(self, following: Claimed | None) -> bool:
        """Return whether an attempt's first deed is a statement on the control database."""
        if not following or registered("before_attempt") or following.payload.get("connection"):
            return False
        prompt = following.job_class in self._prompt
        return prompt or self._registry.begins_at_once(following.job_class, following.payload)

    def give_up(self, claimed: Claimed, why: Raised) -> list[Message]:
        """Undo what is open and record the failure; returns messages to send.

        It is for good where the job has ended its transaction from inside: what it did then is
        committed without its completion, and another attempt would repeat it.

        Raises:
            StaleAttempt: The attempt is over.
            StoreUnavailable: The control database went away.
        """
        self.sessions.roll_back()
        ended = self.sessions.verdict()
        if ended is not None:
            told = ended if "TransactionEnded" in why.kinds else f"{ended}\n{why.error}"
            kinds = why.kinds | kinds_of(TransactionEnded())
            why = replace(why, error=told, permanent=True, kinds=kinds)
        messages = self.fail(claimed, why)
        if not why.not_made:
            log.warning("job %s %s failed: %s", claimed.id, claimed.job_class, why.error)
        return messages

    def fail(self, claimed: Claimed, raised: Raised, outcome: str = "failed") -> list[Message]:
        """Record a failure, to be tried again or for good. Returns messages to send.

        Raises:
            StaleAttempt: The attempt is over.
        """
        retry = json.loads(claimed.retry)
        with self.store.transaction() as tx:
            if raised.not_made:
                if given_back(tx, claimed, raised):
                    return []
                raised = replace(raised, error=f"{raised.error}\n{NOBODY}")
            row = tx.row(
                queries.FAIL_ATTEMPT,
                id=claimed.id,
                attempt=claimed.attempt,
                outcome=outcome,
                error=raised.error,
                traceback=raised.traceback,
                retry_in=raised.retry_in_s(retry, claimed.retry_count),
            )
            if row is None:
                raise StaleAttempt(f"attempt {claimed.attempt} of job {claimed.id} is over")
            self.write_log(claimed)
            messages = update_dependants_of_failed(tx, [row])
        self.hooks.note(claimed, row["status"], error=raised.error)
        return messages

    def log_lines(self, claimed: Claimed) -> LogLines | None:
        """Return what the job said and the database does not have yet, for `add_log_lines`.

        None for a job that is neither at hand nor one of `lines_kept`: it has said nothing.
        """
        said = self._log.unkept
        if said is None or (said.job_id, said.attempt) != (claimed.id, claimed.attempt):
            return self.lines_kept.get(claimed.id)
        return lines_of(said)

    def write_log(self, claimed: Claimed) -> None:
        """Store what the job said, in the open transaction where there is one."""
        lines = self.log_lines(claimed)
        if lines is not None:
            key = {"id": claimed.id, "attempt": claimed.attempt, **lines.values}
            self.store.rows("hold_log", **key)
            self.store.rows("forget_left_out", **key)
            self.store.rows("add_log_lines", **key)

    # -- inside -----------------------------------------------------------------------

    def _said(self, claimed: Claimed) -> tuple[dict[str, Any], dict[str, str] | None]:
        """Return the job's arguments and environment variables, late templates rendered."""
        if not claimed.late:
            return claimed.payload, claimed.env
        render = self._surroundings.render
        registry = self._registry
        return late_said(self.store, claimed, render, registry.referring, registry.in_sql)
