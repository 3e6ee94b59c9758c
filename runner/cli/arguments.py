"""What can be written after `headrace`. Imports nothing that takes time."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from runner import __version__
from runner.suggest import did_you_mean

_STATUSES = "waiting, queued, started, retrying, completed, failed, cancelled, skipped"


class _Parser(argparse.ArgumentParser):
    """Errors as everywhere else: one line, a hint, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        if "invalid choice" in message and self.prog == "headrace":
            word = message.split("'")[1]
            message = f'there is no command "{word}"; {did_you_mean(word, COMMANDS)}'
        self.exit(2, f"{self.prog}: {message}\n  hint: `{self.prog} --help` shows its usage\n")


class _Group:
    """Adds commands to the parser, each with the function that carries it out."""

    def __init__(self, commands: "argparse._SubParsersAction[_Parser]") -> None:
        self._commands = commands

    def add(self, name: str, function: str, text: str, *, json: bool = False) -> _Parser:
        """Add a command. `function` is `module:function` below `runner.cli`."""
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
        description="Headrace runs YAML pipelines on RQ queues, with PostgreSQL as the truth.",
        epilog="exit codes: 0 fine; 1 what was asked about failed; 2 wrong usage or configuration",
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
        help="the configuration (HEADRACE_CONFIG, config.yaml)",
    )


def _count(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"takes a whole number from {least}, not {text!r}")
        return int(text)

    return count


def _parts(group: _Group) -> None:
    up = group.add("up", "parts:up", "daemon, workers and web page in one process tree")
    up.add_argument("--workers", type=_count(0), metavar="N", help="number of workers (2)")
    up.add_argument("--no-web", action="store_true", help="leave the web page out")
    group.add("daemon", "parts:daemon", "the daemon alone: schedules and repairs")
    worker = group.add("worker", "parts:worker", "one worker alone")
    worker.add_argument(
        "--queues", metavar="A,B", help="the queues to serve, most urgent first (all)"
    )
    worker.add_argument(
        "--processes", type=_count(1), default=1, metavar="N", help="jobs at the same time (1)"
    )
    group.add("web", "parts:web", "the HTTP service and the web page alone")


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
        help="also have PostgreSQL plan the SQL, in the databases that are up; runs none of it",
    )
    _params(validate, "a parameter for --explain; may be repeated")
    plan = group.add(
        "plan", "planning:plan", "show what a run would do; changes nothing", json=True
    )
    _pipeline_and_params(plan)
    plan.add_argument(
        "--diff", action="store_true", help="compare the file with what the daemon runs instead"
    )
    cron = group.add("cron", "planning:cron", "show the next instants of a schedule", json=True)
    cron.add_argument("expression", metavar="EXPR", help='such as "0 1 * * mon-fri"')
    cron.add_argument("--timezone", default="UTC", metavar="ZONE", help="an IANA name (UTC)")
    cron.add_argument("--from", dest="start", metavar="TIME", help="begin after this (now)")
    cron.add_argument(
        "-n", dest="count", type=_count(1), default=5, metavar="N", help="how many (5)"
    )
    cron.add_argument(
        "--days",
        choices=("working", "holidays", "not_holidays"),
        help="on these days only (working, where a country is named)",
    )
    cron.add_argument("--country", metavar="CODE", help="whose holidays and weekend, such as DE")
    cron.add_argument("--subdivision", metavar="CODE", help="the part of it, such as BE")
    group.add("schema", "files:schema", "print the pipeline schema, with all jobs' parameters")
    init = group.add("init", "project:init", "make a new project folder that runs as it is")
    init.add_argument("folder", metavar="DIR", help="the folder to make")


def _pipeline_and_params(command: argparse.ArgumentParser) -> None:
    command.add_argument("pipeline", metavar="PIPELINE")
    _params(command, "a parameter; may be repeated")
    command.add_argument("--logical-date", metavar="TIME", help="what the run stands for (now)")


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
    run = group.add("run", "running:run", "run a pipeline to its end", json=True)
    _pipeline_and_params(run)
    run.add_argument("--detach", action="store_true", help="start it and do not wait")
    backfill = group.add(
        "backfill", "backfill:backfill", "one run a schedule instant, none twice", json=True
    )
    backfill.add_argument("pipeline", metavar="PIPELINE")
    backfill.add_argument("--from", dest="start", required=True, metavar="TIME", help="inclusive")
    backfill.add_argument("--to", dest="end", required=True, metavar="TIME", help="inclusive")
    backfill.add_argument("--dry-run", action="store_true", help="only show the instants")
    backfill.add_argument(
        "--max-active", type=_count(1), metavar="N", help="open runs at a time (no limit)"
    )


def _listings(group: _Group) -> None:
    group.add("pipelines", "declared:pipelines", "the pipelines that the files declare", json=True)
    runs = group.add("runs", "listings:runs", "the runs, newest first", json=True)
    runs.add_argument("--status", help="queued, running, completed, failed, cancelled, skipped")
    jobs = group.add("jobs", "listings:jobs", "the jobs, newest first", json=True)
    jobs.add_argument("--types", action="store_true", help="the job classes instead")
    jobs.add_argument("--status", help=_STATUSES)
    jobs.add_argument("--queue", help="of this queue")
    jobs.add_argument("--job", dest="job_class", metavar="CLASS", help="of this class")
    for command in (runs, jobs):
        command.add_argument("--pipeline", metavar="NAME", help="of this pipeline")
        command.add_argument(
            "--limit", type=_count(1), default=20, metavar="N", help="how many (20)"
        )
    group.add("schedules", "declared:schedules", "when each pipeline is due next", json=True)
    group.add("workers", "listings:workers", "the workers", json=True)
    group.add("queues", "listings:queues", "how much work stands where", json=True)
    show = group.add(
        "show", "showing:show", "a run or job; or a pipeline's values and origins", json=True
    )
    show.add_argument("id", metavar="ID", help="of a run or job; or a pipeline's name")
    logs = group.add("logs", "showing:logs", "what a job, or a run's jobs, said", json=True)
    logs.add_argument("id", metavar="ID")
    top = group.add("top", "top:top", "a live overview")
    top.add_argument(
        "--interval", type=float, default=2.0, metavar="S", help="seconds between looks (2)"
    )
    top.add_argument("--once", action="store_true", help="look once; so does a pipe")


def _interventions(group: _Group) -> None:
    retry = group.add("retry", "intervening:retry", "run what failed again", json=True)
    retry.add_argument("id", nargs="?", metavar="ID", help="a run or job")
    retry.add_argument("--all-failed", action="store_true", help="every failed job")
    cancel = group.add("cancel", "intervening:cancel", "cancel a run or job", json=True)
    cancel.add_argument("id", metavar="ID")
    pause = group.add(
        "pause", "intervening:pause", "let no schedule or trigger of a pipeline start a run"
    )
    resume = group.add(
        "resume", "intervening:resume", "let its schedule and trigger start runs again"
    )
    pause.add_argument(
        "--cancel-queued", action="store_true", help="cancel its runs that are queued, too"
    )
    for command in (pause, resume):
        command.add_argument("pipeline", metavar="PIPELINE")
    prune = group.add("prune", "intervening:prune", "delete old runs and jobs", json=True)
    prune.add_argument(
        "--older-than", metavar="AGE", help="such as 30d (`retention` of the configuration)"
    )


def _rest(group: _Group) -> None:
    db = group.add("db", "db:db", "the control database")
    db.add_argument(
        "action",
        choices=("upgrade", "url"),
        help="upgrade: make or bring up to date its schema; url: print its URL, for psql",
    )


COMMANDS = (
    *("up", "daemon", "worker", "web", "validate", "plan", "cron", "schema", "init", "run"),
    *("backfill", "pipelines", "runs", "jobs", "schedules", "workers", "queues", "show", "logs"),
    *("top", "retry", "cancel", "pause", "resume", "prune", "db"),
)
