"""The daemon: leadership, schedules and repairs, in one loop that nothing but a signal ends."""

import logging
import signal
import threading
import time
from typing import Any

from headrace.engine.application import Headrace
from headrace.engine.catalog.active_definitions import InForce
from headrace.engine.catalog.job_files import JobFilesWatch
from headrace.engine.notifications.notifier import Notifier
from headrace.engine.operations.former_messages import remove_former_messages
from headrace.engine.operations.glance import Glance, glance
from headrace.engine.operations.housekeeping import Housekeeping, kept_for
from headrace.engine.operations.recovery import Recovery
from headrace.engine.scheduling.database_clock import ServerClock
from headrace.engine.scheduling.pipeline_triggers import PipelineTriggers
from headrace.engine.scheduling.scheduler import Scheduler
from headrace.engine.telemetry.receivers import receivers_of
from headrace.errors import LeadershipLost, QueueUnavailable, SchemaMismatch, StoreUnavailable
from headrace.errors.numbers import number_of
from headrace.observe.alive import beat
from headrace.queue.process import has_ended, process_name
from headrace.store import queries
from headrace.store.backoff import Outage
from headrace.store.database import Database, SqlTransaction, Transaction
from headrace.store.listen_notify import listen
from headrace.store.schema_watch import SchemaWatch
from headrace.store.writable import demand_writes

log = logging.getLogger("headrace.daemon")

# A standby leads within this and a tick of the leader's death.
_LEASE_S = 3.0
_TICK_S = 1.0
_MOMENT_S = 0.01
# Shorter than the lease: the pipelines' disk may hang.
_FILES_S = 1.0


class Daemon:
    """Leads where nobody else does; otherwise waits for the lease to end."""

    def __init__(self, headrace: Headrace) -> None:
        self._headrace = headrace
        self._name = process_name()
        self._stop = threading.Event()
        self._rung = threading.Event()
        self._term: int | None = None
        self._standing_by = False
        self._went_well = False
        # The last turn ended in an outage, during which nobody could renew the lease.
        self._interrupted = False
        # The files have changed since schedules and triggers were last taken over from them.
        self._outdated = False
        self._has_read = False
        self._outage = Outage(log, first_pause_s=0.1)
        self._shown: set[str] = set()
        self._held_back: set[str] = set()
        self._jobs = JobFilesWatch(headrace.registry, time.monotonic)
        settings, database, now = headrace.settings, headrace.database, time.monotonic
        self._recovery = Recovery(
            database, headrace.sender, now, settings.connections, headrace.subpipelines
        )
        receivers = receivers_of(settings, headrace.registry, headrace.database_url)
        self._housekeeping = Housekeeping(database, settings, now, receivers)
        self._schema = SchemaWatch(headrace.database)
        self._in_force = InForce(database)
        self._clock = ServerClock(database)
        made_by = (database, headrace.dispatcher, headrace.pipelines, headrace.planner)
        self._scheduler = Scheduler(*made_by)
        self._triggers = PipelineTriggers(*made_by, now)
        self._notifier = Notifier(database, headrace.sender, settings, lambda: self._term)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            SchemaMismatch: The schema was upgraded, and does not admit this version any more.
        """
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        bell = f"headrace:{self._headrace.role}:bell"
        listen(self._headrace.database_url, application_name=bell, heard=self._rung.set)
        self._notifier.start()
        log.info("daemon %s has started", self._name)
        log.info("%s", kept_for(self._headrace.settings))
        while not self._stop.is_set():
            beat()
            try:
                if self._term is None or not self._went_well:
                    self._schema.look()
                self._went_well = False
                self._turn()
                self._went_well = True
                self._outage.over()
                self._wait()
            except LeadershipLost as error:
                log.warning("%s; the next active daemon starts what is due", error)
                self._term = None
            except (StoreUnavailable, QueueUnavailable) as error:
                self._interrupted = True
                self._stop.wait(self._outage.pause_s(error))
            except SchemaMismatch:
                self._resign()
                raise
            except Exception:
                # Whatever it was, tomorrow's runs must not wait for a person.
                log.exception("an iteration of the daemon failed; continuing")
                self._stop.wait(_TICK_S)
        self._notifier.stop()
        self._resign()

    def _turn(self) -> None:
        back = self._interrupted
        if back:
            self._come_back()
        if self._term is not None and self._outdated is False:
            # Before the files are read again: what is due by now was declared as it is.
            self._start_due(self._term)
        # It may be another server, which has not learnt all that was written to the one before.
        self._outdated |= back
        self._reload()
        if self._term is None:
            self._apply()
        if self._term is None:
            return
        if self._outdated:
            self._take_over(self._term)
            self._scheduler.tick(self._clock.now(), self._term)
        done = self._recovery.tick(self._lead, self._term, self._glance)
        # By the clock that the lease was renewed by, which may have been set.
        self._scheduler.tick(self._clock.last, self._term)
        self._housekeeping.act()
        self._jobs.look()
        self._keep_in_force(self._term)
        if done.resent or done.lost:
            log.info(
                "sent %d messages again, requeued %d jobs of lost workers", done.resent, done.lost
            )
        self._triggers.tick(self._term)

    def _start_due(self, term: int) -> None:
        if self._scheduler.is_due(self._clock.estimate()):
            self._scheduler.tick(self._clock.now(), term)

    def _come_back(self) -> None:
        """Go on after an outage with the lead as it was, where nobody else has led meanwhile.

        Raises:
            LeadershipLost: Somebody else has.
            StoreUnavailable: It is not over: some rows still fit on a disk that is full.
        """
        if self._term is not None:
            self._renew(self._headrace.database)
        with self._headrace.database.transaction() as tx:
            demand_writes(tx)
        self._interrupted = False

    def _apply(self) -> None:
        """Lead if nobody does."""
        self._end_lease_of_the_dead()
        row = self._headrace.database.row("acquire_lease", holder=self._name, lease_s=_LEASE_S)
        if row is None:
            if not self._standing_by:
                log.info("another daemon is active; on standby")
            self._standing_by = True
            return
        log.info("leading, term %d", row["term"])
        self._standing_by = False
        self._keep_last_good()
        self._take_over(row["term"])
        self._term = row["term"]
        # In a thread: the lease must not wait for what an upgrade has left.
        headrace = self._headrace
        removing = (headrace.database, headrace.redis_url, headrace.settings.queues)
        threading.Thread(target=remove_former_messages, args=removing, daemon=True).start()

    def _keep_last_good(self) -> None:
        """Keep the version that was active in the previous daemon, despite a broken edit."""
        for name in self._headrace.keep_last_good():
            log.warning("%s: its file is broken; the last valid version stays active", name)
        for name, why in sorted(self._headrace.pipelines.held.items()):
            log.error("%s: its file is broken, and it is not active: %s", name, why)

    def _end_lease_of_the_dead(self) -> None:
        """End the lease of a leader of this host whose process is gone: it needs no waiting."""
        leader = self._headrace.database.row(queries.LEADER)
        if leader and leader["live"] and has_ended(leader["holder"]):
            self._headrace.database.rows("give_up_lease", holder=leader["holder"])

    def _keep_in_force(self, term: int) -> None:
        before = self._held_back
        pipelines = self._headrace.pipelines
        if not self._in_force.keep(pipelines.by_name, term, pipelines.held):
            return
        rows = self._headrace.database.rows("held_back")
        self._held_back = {row["pipeline"] for row in rows}
        for row in rows:
            if row["pipeline"] not in before:
                log.warning(
                    "%s: its file was removed; %s on hold until it is back, or cancelled with"
                    " `headrace cancel`",
                    row["pipeline"],
                    number_of(row["runs"], "queued run"),
                )

    def _take_over(self, term: int) -> None:
        """Have schedules and triggers be what the files declare now.

        Raises:
            StoreUnavailable: Tried again at the next turn, however far it came.
        """
        self._scheduler.refresh(self._clock.now())
        # With thousands of pipelines each part may take as long as the lease.
        self._renew(self._headrace.database, term)
        self._triggers.refresh(term)
        self._renew(self._headrace.database, term)
        self._outdated = False

    def _lead(self, tx: SqlTransaction) -> None:
        """Renew the lease in the transaction of the repairs.

        What has ended since is looked for in it, too, to be counted and for triggers.
        """
        self._schema.look(tx)
        self._renew(tx)
        self._jobs.compare(tx)
        self._housekeeping.look(tx)
        self._notifier.look(tx)
        self._triggers.look(tx)

    def _glance(self) -> Glance:
        """Renew the lease and see whether there is anything to do, in one statement."""
        waiting = self._triggers.declared
        seen = glance(self._headrace.database, self._name, _LEASE_S, waiting)
        if seen is None or seen.term != self._term:
            raise LeadershipLost(f"term {self._term} is over")
        self._clock.saw(seen.now)
        if not seen.busy:
            self._housekeeping.saw_nothing()
            self._notifier.saw_nothing()
        return seen

    def _renew(self, tx: Transaction | Database, term: int | None = None) -> None:
        row = tx.row("acquire_lease", holder=self._name, lease_s=_LEASE_S)
        held = self._term if term is None else term
        if row is None or row["term"] != held:
            raise LeadershipLost(f"term {held} is over")
        self._clock.saw(row["now"])

    def _reload(self) -> None:
        changed = self._headrace.pipelines.refresh(patience_s=_FILES_S, sparing=True)
        # The supervisor may have read them before this process began.
        if not changed and self._has_read:
            return
        self._has_read = self._outdated = True
        problems = self._headrace.pipelines.problems
        texts = {str(problem) for problem in problems}
        for text in sorted(texts - self._shown):
            log.error("%s", text)
        self._shown = texts
        log.info("%d pipelines are active", len(self._headrace.pipelines.by_name))

    def _wait(self) -> None:
        """Wait for the next turn; the bell ends the wait of a daemon that leads."""
        waited_for = self._stop if self._term is None else self._rung
        if waited_for.wait(self._wait_s()):
            # What is rung for several times in a moment is done in one turn.
            self._stop.wait(_MOMENT_S)
            self._rung.clear()

    def _wait_s(self) -> float:
        """Seconds to the next turn: a tick, or less where a run is due before."""
        if self._term is None:
            # Whatever was due when the lead was lost is the next leader's.
            return _TICK_S
        if self._triggers.behind:
            return 0.0
        due = self._scheduler.next_due()
        if due is None:
            return _TICK_S
        return min(_TICK_S, max(0.0, (due - self._clock.estimate()).total_seconds()))

    def _resign(self) -> None:
        if self._term is None:
            return
        try:
            self._headrace.database.rows("give_up_lease", holder=self._name)
        except StoreUnavailable:
            log.debug("the lease will expire")

    def _on_stop(self, _signal: int, _frame: Any) -> None:
        self._stop.set()
        self._rung.set()
