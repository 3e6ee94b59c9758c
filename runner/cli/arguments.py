"""The arguments of all `headrace` commands. Imports nothing that takes time."""

import argparse

from headrace.cli import operating_arguments as operating
from headrace.cli.command_group import COMMANDS, ID, Group, Parser, add_config, count, seconds
from headrace.model.version import __version__

_STATUSES = "waiting, queued, started, retrying, completed, failed, cancelled, skipped"


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of all commands, or of the one that is named."""
    main = Parser(
        prog="headrace",
        description="Runs YAML pipelines on RQ queues, with their state in PostgreSQL.",
        epilog="exit codes: 0 success; 1 failure; 2 wrong usage or configuration",
    )
    main.add_argument("--version", action="version", version=f"headrace {__version__}")
    add_config(main, None)
    commands = main.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for add in (
        *(_parts, _files, _runs, _listings, _whole),
        *(operating.interventions, operating.access, operating.notifications, operating.database),
    ):
        add(Group(commands, only if only in COMMANDS else None))
    return main


def _parts(group: Group) -> None:
    up = group.add("up", "services:up", "start daemon, workers and web page in one process tree")
    up.add_argument("--workers", type=count(0), metavar="N", help="number of workers (2)")
    up.add_argument("--no-web", action="store_true", help="do not start the web page")
    group.add("daemon", "services:daemon", "start only the daemon: schedules and repairs")
    worker = group.add("worker", "services:worker", "start only one worker")
    worker.add_argument("--queues", metavar="A,B", help="queues to serve, most urgent first (all)")
    worker.add_argument(
        "--processes",
        type=count(1),
        default=1,
        metavar="N",
        help="number of jobs at the same time (1)",
    )
    group.add("web", "services:web", "start only the HTTP service and the web page")


def _files(group: Group) -> None:
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
        "-n", dest="count", type=count(1), default=5, metavar="N", help="number of instants (5)"
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


def _project(group: Group) -> None:
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


def _plan(group: Group) -> None:
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


def _runs(group: Group) -> None:
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
        type=count(1),
        metavar="N",
        help="number of active runs at a time (no limit)",
    )


def _listings(group: Group) -> None:
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
            "--limit", type=count(1), default=20, metavar="N", help="number of rows (20)"
        )
    group.add(
        "schedules", "declaration_lists:schedules", "show when each pipeline is due next", json=True
    )
    group.add("workers", "listings:workers", "list workers", json=True)
    group.add("queues", "listings:queues", "show how much work each queue has", json=True)
    _top(group)


def _whole(group: Group) -> None:
    show = group.add(
        "show",
        "showing:show",
        "show a run or job, or a pipeline's values and their origins",
        json=True,
    )
    show.add_argument("id", metavar="ID", help=f"{ID}, or a pipeline's name")
    last = group.add("last", "showing:last", "show the newest run", json=True)
    last.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="only of this pipeline (all)")
    logs = group.add(
        "logs", "job_logs:logs", "print the log of a job, or of a run's jobs", json=True
    )
    logs.add_argument("id", nargs="?", metavar="ID", help=f"{ID} (the newest run)")
    logs.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="print lines as they are written, until the job or run has ended;"
        " with --json each on a line of its own",
    )


def _top(group: Group) -> None:
    top = group.add("top", "top:top", "show a live overview")
    top.add_argument(
        "--interval",
        type=seconds(0.2, 86_400),
        default=2.0,
        metavar="S",
        help="seconds between updates (2)",
    )
    top.add_argument(
        "--once", action="store_true", help="print one update and exit, as with output to a pipe"
    )
    top.add_argument("--json", action="store_true", help="print one update as JSON and exit")
