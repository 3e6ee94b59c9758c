"""The arguments of all `headrace` commands. Imports nothing that takes time."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from headrace.errors.suggestions import did_you_mean
from headrace.model.version import __version__

_STATUSES = "waiting, queued, started, retrying, completed, failed, cancelled, skipped"


class _Parser(argparse.ArgumentParser):
    """Parser that reports an error as one line and a hint, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help, and exit."""
        if "invalid choice" in message and self.prog == "headrace":
            word = message.split("'")[1]
            message = f'there is no command "{word}"; {did_you_mean(word, COMMANDS)}'
        self.exit(2, f"{self.prog}: {message}\n  hint: `{self.prog} --help` shows its usage\n")


class _Group:
    """Adds commands to the parser, each with the function that carries it out."""

    def __init__(self, commands: "argparse._SubParsersAction[_Parser]") -> None:
        self._commands = commands

    def add(self, name: str, function: str, text: str, *, json: bool = False) -> _Parser:
        """Add a command. `function` is `module:function` below `headrace.cli`."""
        first = text[0].upper() + text[1:]
        command = self._commands.add_parser(name, help=text, description=f"{first}.")
        command.set_defaults(command=function)
        _add_config(command, argparse.SUPPRESS)
        if json:
            command.add_argument("--json", action="store_true", help="print JSON")
        return command


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    main = _Parser(
        prog="headrace",
        description="Runs YAML pipelines on RQ queues, with their state in PostgreSQL.",
        epilog="exit codes: 0 success; 1 failure; 2 wrong usage or configuration",
    )
    main.add_argument("--version", action="version", version=f"headrace {__version__}")
    _add_config(main, None)
    commands = main.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for add in (_parts, _files, _runs, _listings, _interventions, _rest):
        add(_Group(commands))
    return main


def _add_config(command: argparse.ArgumentParser, default: str | None) -> None:
    command.add_argument(
        "--config",
        metavar="FILE",
        default=default,
        help="configuration file (HEADRACE_CONFIG, config.yaml)",
    )


def _count(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"takes a whole number from {least}, not {text!r}")
        return int(text)

    return count


def _parts(group: _Group) -> None:
    up = group.add("up", "services:up", "start daemon, workers and web page in one process tree")
    up.add_argument("--workers", type=_count(0), metavar="N", help="number of workers (2)")
    up.add_argument("--no-web", action="store_true", help="do not start the web page")
    group.add("daemon", "services:daemon", "start only the daemon: schedules and repairs")
    worker = group.add("worker", "services:worker", "start only one worker")
    worker.add_argument("--queues", metavar="A,B", help="queues to serve, most urgent first (all)")
    worker.add_argument(
        "--processes",
        type=_count(1),
        default=1,
        metavar="N",
        help="number of jobs at the same time (1)",
    )
    group.add("web", "services:web", "start only the HTTP service and the web page")


def _files(group: _Group) -> None:
    validate = group.add(
        "validate", "files:validate", "show all problems of pipeline files at once", json=True
    )
    validate.add_argument(
        "paths", nargs="*", metavar="PATH", help="files and folders (the pipelines folder)"
    )
    validate.add_argument(
        "--explain",
        action="store_true",
        help="also let PostgreSQL plan the SQL, without running it, in databases that are running",
    )
    _params(validate, "parameter for --explain; may be repeated")
    _plan(group)
    cron = group.add("cron", "planning:cron", "show the next instants of a schedule", json=True)
    cron.add_argument("expression", metavar="EXPR", help='such as "0 1 * * mon-fri"')
    cron.add_argument("--timezone", default="UTC", metavar="ZONE", help="IANA time zone (UTC)")
    cron.add_argument("--from", dest="start", metavar="TIME", help="start after this time (now)")
    cron.add_argument(
        "-n", dest="count", type=_count(1), default=5, metavar="N", help="number of instants (5)"
    )
    cron.add_argument(
        "--days",
        choices=("working", "holidays", "not_holidays"),
        help="only on these days (working, if a country is given)",
    )
    cron.add_argument(
        "--country", metavar="CODE", help="country of the holidays and weekend, such as DE"
    )
    cron.add_argument("--subdivision", metavar="CODE", help="part of the country, such as BE")
    _project(group)


def _project(group: _Group) -> None:
    schema = group.add(
        "schema", "schemas:schema", "print the pipeline schema, with all jobs' parameters"
    )
    schema.add_argument(
        "of",
        nargs="?",
        choices=("pipeline", "config"),
        default="pipeline",
        help="files that the schema is for: pipelines (default) or config.yaml",
    )
    init = group.add("init", "project:init", "create a new project folder that is ready to run")
    init.add_argument("folder", metavar="DIR", help="folder to create")


def _plan(group: _Group) -> None:
    plan = group.add(
        "plan", "planning:plan", "show what a run would do; changes nothing", json=True
    )
    _pipeline_and_params(plan)
    plan.add_argument(
        "--diff", action="store_true", help="show differences from what the daemon runs now"
    )
    plan.add_argument(
        "--data",
        action="store_true",
        help="also read files and tables, and count what each load would change",
    )
    plan.add_argument(
        "--data-timeout",
        metavar="DURATION",
        default="60s",
        help="how long --data may take for one step (60s)",
    )


def _pipeline_and_params(command: argparse.ArgumentParser) -> None:
    command.add_argument("pipeline", metavar="PIPELINE")
    _params(command, "parameter of the run; may be repeated")
    command.add_argument("--logical-date", metavar="TIME", help="logical date of the run (now)")


def _params(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument(
        "-p",
        "--param",
        dest="params",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=text,
    )


def _runs(group: _Group) -> None:
    run = group.add("run", "running:run", "run a pipeline and wait for its end", json=True)
    _pipeline_and_params(run)
    run.add_argument("--detach", action="store_true", help="start the run and do not wait")
    backfill = group.add(
        "backfill",
        "backfill:backfill",
        "create the missing runs of a schedule in a period",
        json=True,
    )
    backfill.add_argument("pipeline", metavar="PIPELINE")
    backfill.add_argument("--from", dest="start", required=True, metavar="TIME", help="inclusive")
    backfill.add_argument("--to", dest="end", required=True, metavar="TIME", help="inclusive")
    backfill.add_argument("--dry-run", action="store_true", help="only show the instants")
    backfill.add_argument(
        "--max-active",
        type=_count(1),
        metavar="N",
        help="number of active runs at a time (no limit)",
    )


def _listings(group: _Group) -> None:
    group.add(
        "pipelines",
        "declaration_lists:pipelines",
        "list the pipelines that the files declare",
        json=True,
    )
    runs = group.add("runs", "listings:runs", "list runs, newest first", json=True)
    runs.add_argument("--status", help="queued, running, completed, failed, cancelled, skipped")
    jobs = group.add("jobs", "listings:jobs", "list jobs, newest first", json=True)
    jobs.add_argument("--types", action="store_true", help="list the job classes instead")
    jobs.add_argument("--status", help=_STATUSES)
    jobs.add_argument("--queue", help="only of this queue")
    jobs.add_argument("--job", dest="job_class", metavar="CLASS", help="only of this class")
    for command in (runs, jobs):
        command.add_argument("--pipeline", metavar="NAME", help="only of this pipeline")
        command.add_argument(
            "--limit", type=_count(1), default=20, metavar="N", help="number of rows (20)"
        )
    group.add(
        "schedules", "declaration_lists:schedules", "show when each pipeline is due next", json=True
    )
    group.add("workers", "listings:workers", "list workers", json=True)
    group.add("queues", "listings:queues", "show how much work each queue has", json=True)
    show = group.add(
        "show",
        "showing:show",
        "show a run or job, or a pipeline's values and their origins",
        json=True,
    )
    show.add_argument("id", metavar="ID", help="id of a run or job, or a pipeline's name")
    logs = group.add(
        "logs", "showing:logs", "print the log of a job, or of a run's jobs", json=True
    )
    logs.add_argument("id", metavar="ID")
    _top(group)


def _top(group: _Group) -> None:
    top = group.add("top", "top:top", "show a live overview")
    top.add_argument(
        "--interval", type=float, default=2.0, metavar="S", help="seconds between updates (2)"
    )
    top.add_argument(
        "--once", action="store_true", help="print one update and exit, as with output to a pipe"
    )


def _interventions(group: _Group) -> None:
    retry = group.add("retry", "intervening:retry", "run failed jobs again", json=True)
    retry.add_argument("id", nargs="?", metavar="ID", help="id of a run or job")
    retry.add_argument("--all-failed", action="store_true", help="retry every failed job")
    cancel = group.add("cancel", "intervening:cancel", "cancel a run or job", json=True)
    cancel.add_argument("id", metavar="ID")
    pause = group.add("pause", "intervening:pause", "stop the schedule and trigger of a pipeline")
    resume = group.add(
        "resume", "intervening:resume", "resume the schedule and trigger of a pipeline"
    )
    pause.add_argument("--cancel-queued", action="store_true", help="also cancel its queued runs")
    for command in (pause, resume):
        command.add_argument("pipeline", metavar="PIPELINE")
    prune = group.add("prune", "intervening:prune", "delete old runs and jobs", json=True)
    prune.add_argument(
        "--older-than", metavar="AGE", help="age, such as 30d (`retention` of the configuration)"
    )


def _rest(group: _Group) -> None:
    db = group.add("db", "db:db", "upgrade the control database, or print its URL")
    db.add_argument(
        "action",
        choices=("upgrade", "url"),
        help="upgrade: create or upgrade its schema; url: print its URL, for psql",
    )


COMMANDS = (
    *("up", "daemon", "worker", "web", "validate", "plan", "cron", "schema", "init", "run"),
    *("backfill", "pipelines", "runs", "jobs", "schedules", "workers", "queues", "show", "logs"),
    *("top", "retry", "cancel", "pause", "resume", "prune", "db"),
)
