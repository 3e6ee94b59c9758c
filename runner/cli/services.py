"""`headrace up`, `daemon`, `worker`, `web`: the programs that stay."""

import argparse
import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from headrace.cli.installation_access import known_queues, settings_of
from headrace.errors import StoreUnavailable
from headrace.observe import logs
from headrace.observe.alive import beat, show_in

if TYPE_CHECKING:
    from headrace.cli.supervisor import Part
    from headrace.declarations.config import Settings
    from headrace.engine.application import Headrace

log = logging.getLogger("headrace.up")

# What the parts have beyond what jobs may take to end: to record it, and to close.
_MARGIN_S = 2.0
_LONGEST_PAUSE_S = 5.0
# Nobody reads more of them at the start.
_MOST_ANNOUNCED = 100


# -- alone ----------------------------------------------------------------------------


def daemon(given: argparse.Namespace) -> int:
    """Be the daemon until a signal asks to stop."""
    from headrace.engine.application import connect
    from headrace.engine.daemon import Daemon

    settings = settings_of(given)
    speak_as("daemon", settings)
    show_in(settings.alive_file)
    with connect(settings, role="daemon") as headrace:
        once_there(headrace.migrate)
        once_there(lambda: _tell_newer(headrace))
        Daemon(headrace).run()
    return 0


def worker(given: argparse.Namespace) -> int:
    """Be a worker until a signal asks to stop."""
    from headrace.engine.application import connect
    from headrace.engine.operations.connection_budget import Demand, require_connections
    from headrace.engine.workers.main import run_worker

    settings = settings_of(given)
    queues = known_queues(settings, given.queues)
    speak_as("worker", settings)
    show_in(settings.alive_file)
    with connect(settings, role="worker") as headrace:
        once_there(headrace.require_schema)
        once_there(lambda: _tell_newer(headrace))
        demand = Demand(1, given.processes)
        once_there(lambda: require_connections(headrace.database, demand))
        log.info("serving %s, %d jobs at a time", ", ".join(queues), given.processes)
        run_worker(headrace, queues=queues, processes=given.processes)
    return 0


def web(given: argparse.Namespace) -> int:
    """Be the HTTP service until a signal asks to stop."""
    from headrace.engine.application import connect
    from headrace.web.serve import listen, serve

    settings = settings_of(given)
    speak_as("web", settings)
    with listen(settings) as listener, connect(settings, role="web") as headrace:
        # Where PostgreSQL is away, it answers 503 until it is there.
        with suppress(StoreUnavailable):
            headrace.require_schema()
            _tell_newer(headrace)
        serve(headrace, listener)
    return 0


# -- all in one -----------------------------------------------------------------------


def up(given: argparse.Namespace) -> int:
    """Run all parts as one process tree until a signal asks to stop."""
    from headrace.engine.application import connect

    settings = settings_of(given)
    if given.workers is not None:
        settings = replace(settings, workers=given.workers)
    speak_as("up", settings)
    listener = None if given.no_web else _listener(settings)
    if settings.database_url is None or settings.redis_url is None:
        log.info("starting the embedded servers in %s", settings.home)
    with connect(settings, role="up") as headrace:
        code = _run_tree(headrace, listener)
        log.info("stopping")
    log.info("stopped")
    return code


def _listener(settings: "Settings") -> socket.socket:
    from headrace.web.serve import listen

    return listen(settings)


def _run_tree(headrace: "Headrace", listener: socket.socket | None) -> int:
    from headrace.cli.supervisor import Part, Supervisor
    from headrace.queue.keys import Keys

    reader, writer = os.pipe()
    first = Supervisor(
        [
            Part(
                "set-up",
                lambda: _prepare(headrace, lambda prefix: os.write(writer, prefix.encode())),
                once=True,
            )
        ]
    )
    code = first.run()
    os.close(writer)
    prefix = os.read(reader, 1024).decode()
    os.close(reader)
    if code or first.asked_to_stop:
        return code
    headrace.use_keys(Keys(prefix))
    _import_parts(headrace)
    # Once for all parts: of ten thousand files that takes most of the start.
    headrace.pipelines.refresh()
    second = Supervisor([Part("set-up", lambda: _announce(headrace.afresh("up")), once=True)])
    code = second.run()
    if code or second.asked_to_stop:
        return code
    patience_s = patience_of(headrace.settings)
    return Supervisor(_all_parts(headrace, listener), patience_s=patience_s).run()


def patience_of(settings: "Settings") -> float:
    """Return how long the parts may take to end: what running jobs are promised, and a little."""
    return settings.grace_s + settings.kill_after_s + _MARGIN_S


def _import_parts(headrace: "Headrace") -> None:
    """Import what the parts need before the first fork, so that they share the memory."""
    from headrace.declarations import one_file as _rules  # noqa: F401
    from headrace.engine import daemon as _daemon  # noqa: F401
    from headrace.engine.workers import main as _main  # noqa: F401
    from headrace.queue.private_rq import worker_class

    # Before the job classes, which may use RQ for queues of their own.
    worker_class(headrace.keys)
    headrace.registry.names()


def _all_parts(headrace: "Headrace", listener: socket.socket | None) -> list["Part"]:
    parts = [part_of(headrace, "daemon", _live_daemon)]
    if headrace.settings.database_url is None or headrace.settings.redis_url is None:
        parts.insert(0, part_of(headrace, "servers", _keep_servers))
    numbers = range(1, headrace.settings.workers + 1)
    parts += [part_of(headrace, f"worker {number}", live_worker) for number in numbers]
    if listener is not None:
        from headrace.web.serve import serve

        parts.append(part_of(headrace, "web", lambda fresh: serve(fresh, listener)))
    return parts


def part_of(
    headrace: "Headrace",
    role: str,
    live: Callable[["Headrace"], object],
    *,
    stream: TextIO | None = None,
) -> "Part":
    """Return a part that lives on an installation of its own, forked from the supervisor."""
    from headrace.cli.supervisor import Part

    def whole() -> int:
        speak_as(role, headrace.settings, stream)
        live(headrace.afresh(role.partition(" ")[0]))
        return 0

    return Part(role, whole)


def _keep_servers(headrace: "Headrace") -> None:
    from headrace.store.embedded.keeper import keep_running

    keep_running(headrace.settings.home)


def _live_daemon(headrace: "Headrace") -> None:
    from headrace.engine.daemon import Daemon

    show_in(headrace.settings.alive_file)
    Daemon(headrace).run()


def live_worker(headrace: "Headrace") -> None:
    """Be a worker of one job at a time."""
    from headrace.engine.workers.main import run_worker

    run_worker(headrace)


def _prepare(headrace: "Headrace", tell: Callable[[str], object]) -> int:
    """Migrate, and find what keeps workers from starting, in a process of its own.

    `tell` is given the prefix of the installation's keys in Redis.

    Raises:
        ConfigError: No worker could start.
    """
    from headrace.engine.operations import connection_budget as budget

    own = headrace.afresh("up")
    own.load_hooks()
    once_there(own.migrate)
    once_there(lambda: _tell_newer(own))
    demand = budget.Demand(own.settings.workers, others=budget.DAEMON + budget.WEB)
    once_there(lambda: budget.require_connections(own.database, demand))
    tell(own.keys.prefix)
    own.close()
    return 0


def _announce(headrace: "Headrace") -> int:
    """Log what is active."""
    from headrace.cli.printing import until
    from headrace.engine.scheduling.schedule_starts import next_start

    pipelines = headrace.pipelines.by_name
    log.info("%d pipelines are active", len(pipelines))
    if len(pipelines) > _MOST_ANNOUNCED:
        log.info("  `headrace schedules` shows when each is due next")
        return 0
    paused = {row["pipeline"] for row in headrace.database.rows("schedules") if row["paused"]}
    headrace.close()
    now = datetime.now(UTC)
    for name, pipeline in pipelines.items():
        due = next_start(pipeline, now)
        if due is None:
            log.info(
                "  %-22s %s", name, "is no longer due" if pipeline.schedules else "starts manually"
            )
        elif name in paused:
            log.info("  %-22s is paused", name)
        else:
            log.info(
                "  %-22s next due %s (%s)", name, f"{due.astimezone():%a %H:%M:%S}", until(due, now)
            )
    return 0


# -- what they share ------------------------------------------------------------------


def speak_as(role: str, settings: "Settings", stream: TextIO | None = None) -> None:
    """Send this process's log to `stream`, standard output by default, in the role's name."""
    logs.set_up(
        role,
        level=settings.log_level,
        log_format=settings.log_format,
        stream=stream or sys.stdout,
    )


def _tell_newer(headrace: "Headrace") -> None:
    """Log that a later version has made the schema, where this one may work with it."""
    remark = headrace.schema().remark
    if remark is not None:
        log.warning("%s", remark)


def once_there(ask: Callable[[], object]) -> None:
    """Ask the control database, as soon as it answers. Says once that it does not."""
    pause_s, said = 0.1, False
    while True:
        beat()
        try:
            ask()
            return
        except StoreUnavailable as error:
            if not said:
                log.warning("%s; waiting for it", error)
                said = True
            time.sleep(random.uniform(pause_s / 2, pause_s))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
