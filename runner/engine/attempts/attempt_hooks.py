"""Calls the project's hooks around one attempt.

A hook runs in a thread of its own. There it finds no session of the attempt, so that it can add
nothing to the attempt's transaction, and it is waited for no longer than the limit. Whatever it
raises is logged and changes nothing. See docs/adr/0023-hooks-run-beside-the-attempt.md.
"""

import logging
import os
import threading
import time
import traceback
from dataclasses import replace
from typing import Any

from headrace.engine.attempts.error_text import text_of
from headrace.hooks import AttemptInfo, Hook, Moment, name_of, registered
from headrace.model import exact_json
from headrace.observe.logs import about
from headrace.store.attempts import Claimed

log = logging.getLogger("headrace.worker")

# Of one function. Tests may make it shorter.
LIMIT_S = float(os.environ.get("HEADRACE_HOOK_LIMIT_S", "5"))


class AttemptHooks:
    """The hooks of one process, called for one attempt after the other."""

    def __init__(self) -> None:
        self._began = 0.0
        self._ended: AttemptInfo | None = None

    @property
    def wait_for_end(self) -> bool:
        """Whether a hook is to be called after each attempt: then no two may share a commit."""
        return bool(registered("after_attempt", "on_failure"))

    def before(self, claimed: Claimed) -> None:
        """Call what is registered for the time before an attempt."""
        self._ended = None
        if registered("before_attempt"):
            _call("before_attempt", _described(claimed, "started"))
        self._began = time.monotonic()

    def note(
        self, claimed: Claimed, status: str, *, result: str | None = None, error: str | None = None
    ) -> None:
        """Note an end that has been recorded; `result` is JSON."""
        if self.wait_for_end:
            self._ended = replace(
                _described(claimed, status),
                result=None if result is None else exact_json.loads(result),
                error=error,
                duration_s=time.monotonic() - self._began,
            )

    def after(self) -> bool:
        """Call what is registered for the end that was noted; False where there is nothing."""
        ended, self._ended = self._ended, None
        if ended is None:
            return False
        if ended.status != "completed":
            _call("on_failure", ended)
        _call("after_attempt", ended)
        return True


def _described(claimed: Claimed, status: str) -> AttemptInfo:
    return AttemptInfo(
        job_id=str(claimed.id),
        job_class=claimed.job_class,
        attempt=claimed.attempt,
        queue=claimed.queue,
        status=status,
        run_id=str(claimed.run_id) if claimed.run_id else None,
        pipeline=claimed.pipeline,
        step=claimed.step,
    )


def _call(moment: Moment, info: AttemptInfo) -> None:
    for hook in registered(moment):
        thread = threading.Thread(
            target=_call_one, args=(moment, hook, info), name=f"hook {name_of(hook)}", daemon=True
        )
        thread.start()
        thread.join(LIMIT_S)
        if thread.is_alive():
            # What stays behind is a thread: this process is replaced after the job.
            _warn(moment, hook, info, f"did not return within {LIMIT_S:g} s; it is no longer"
                  " waited for, and its process is replaced")  # fmt: skip


def _call_one(moment: Moment, hook: Hook, info: AttemptInfo) -> None:
    try:
        # Each function gets a result of its own.
        hook(replace(info, result=_copied(info.result)))
    except BaseException as error:  # noqa: BLE001 - a user's function may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({frames[-1].filename}:{frames[-1].lineno})" if len(frames) > 1 else ""
        _warn(
            moment, hook, info, f"failed: {text_of(error)}{place}; the job's outcome is unchanged"
        )


def _copied(result: Any) -> Any:
    return None if result is None else exact_json.loads(exact_json.dumps(result))


def _warn(moment: Moment, hook: Hook, info: AttemptInfo, what: str) -> None:
    subject = {"job_id": info.job_id, "run_id": info.run_id, "pipeline": info.pipeline}
    log.warning(
        "the hook %s (%s) of job %s, attempt %d, %s",
        name_of(hook), moment, info.job_id, info.attempt, what,
        extra=about(**subject, step=info.step, attempt=info.attempt),
    )  # fmt: skip
