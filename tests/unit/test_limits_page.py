"""docs/reference/limits.md says what the code bounds, and by how much."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/reference/limits.md"

Written = Callable[[float], str]


def plain(number: float) -> str:
    return f"{number:,.0f}"


def of(unit: str, *, of_size: int = 1) -> Written:
    return lambda number: f"{number / of_size:,g} {unit}"


def exact(unit: str) -> Written:
    return lambda number: f"{number:,.0f} {unit}"


KIB, MIB, TIB = 1 << 10, 1 << 20, 1 << 40
BYTES, CHARACTERS, LEVELS, SECONDS = (
    exact("bytes"), exact("characters"), exact("levels"), of("s"),
)  # fmt: skip
MANY, LARGE = of("MiB", of_size=MIB), of("TiB", of_size=TIB)
LEAST = exact("characters or more")

LIMITS: dict[str, tuple[str, Written]] = {
    "A pipeline file, `config.yaml` or a calendar": ("declarations.source.MAX_BYTES", BYTES),
    "Values in a YAML file": ("declarations.source.builder.MAX_VALUES", plain),
    "Values inside each other": ("declarations.source.builder.MAX_DEPTH", LEVELS),
    "Uses of YAML aliases in a file": ("declarations.source.builder.MAX_ALIASES", plain),
    "What a file becomes where its templates are used: values": (
        "declarations.step_templates.substitution.MOST_VALUES", plain),
    "What a file becomes where its templates are used: characters": (
        "declarations.step_templates.substitution.MOST_CHARACTERS", plain),
    "Mistakes of one kind that are told of a file": ("declarations.one_file.MOST_OF_A_KIND", plain),
    "Departures from the schema that are told of a file": ("declarations.schemas.MOST", plain),
    "Bad lines of a calendar that are told": ("declarations.calendar_files._MOST_PROBLEMS", plain),
    "A cron expression": ("plan.cron.fields._LONGEST", CHARACTERS),
    "A duration": ("model.duration.LONGEST_S", lambda seconds: f"{seconds / 86400:,.0f} days"),
    "Steps of a pipeline that `validate` compares for tables read too early": (
        "declarations.lint.sql_warnings.MOST_COMPARED", plain),
    "Items of a `foreach` that `validate` tries": ("engine.explain.dry_run._MOST_ITEMS", plain),
    "Mistakes in the jobs of a plan that are told": ("plan.expand.MOST_PROBLEMS", plain),
    "A file in `sql_path`": ("jobs.statements.user_sql.MOST_SQL_BYTES", BYTES),
    "A name in PostgreSQL": ("template.identifiers.MAX_BYTES", BYTES),
    "What a template becomes": ("template.budget.MAX_CHARACTERS", CHARACTERS),
    "What a template consists of": ("template.budget.MAX_TOKENS", exact("tokens")),
    "Turns of its loops, together": ("template.budget.MAX_ITERATIONS", plain),
    "Processor time": ("template.budget.MAX_SECONDS", SECONDS),
    "Characters of all values on the way": ("template.budget.MAX_WORK", plain),
    "Characters of all values that a statement binds": ("template.budget.MAX_BOUND", plain),
    "Places that `round` takes": ("template.measure._MOST_PRECISION", plain),
    "Items of a `foreach`": ("model.plan.MOST_ITEMS", plain),
    "Arguments of all items of a `foreach`": ("engine.attempts.foreach.MOST_BYTES", MANY),
    "Dependencies between two `foreach` steps": ("plan.expand.MOST_EDGES", plain),
    "Runs of one backfill": ("engine.operations.backfill.MOST_INSTANTS", plain),
    "Times a job may end with its worker's process": ("engine.gating.gate.CRASH_BUDGET", plain),
    "Missed instants of a schedule that are looked at together": (
        "engine.scheduling.scheduler._MOST_AT_ONCE", plain),
    "Runs that start together of those that other pipelines cause": (
        "engine.scheduling.pipeline_triggers._MOST_AT_ONCE", plain),
    "Items of a list in the pipeline's `params` that the SQL of a `foreach` sees": (
        "engine.planning.run_params.LONGEST_REPEATED", plain),
    "Times a job is put back that no worker with its files takes": (
        "engine.attempts.unknown_jobs.MOST_GIVEN_BACK", plain),
    "A result": ("engine.attempts.job_result.MOST_BYTES", MANY),
    "Rows of a query in a result, without `keep_rows`": ("jobs.sql.query_result.ROWS_KEPT", plain),
    "`keep_rows`": ("jobs.run_sql.MOST_KEPT", plain),
    "Bytes of these rows": ("jobs.sql.query_result.BYTES_KEPT", plain),
    "Rows that a failed check shows": ("jobs.checks.check.ROWS_TOLD", plain),
    "A value that a message shows": ("errors.shortened.LONGEST_SHOWN", CHARACTERS),
    "An error": ("engine.attempts.error_text.MOST_ERROR", CHARACTERS),
    "Lines of a failed step's error that `headrace run` shows": (
        "cli.run_client._MOST_LINES", plain),
    "A traceback": ("engine.attempts.error_text.MOST_TRACEBACK", CHARACTERS),
    "Causes of an error that are told": ("engine.attempts.error_text._MOST_CAUSES", plain),
    "Why a run could not be made": ("engine.scheduling.unmade_runs._MOST_ERROR", CHARACTERS),
    "The line of SQL in an error": ("store.sql_errors._LONGEST_LINE", CHARACTERS),
    "Lines at the beginning of an attempt's log": ("observe.logpage.FIRST_LINES", plain),
    "Lines at the end of an attempt's log": ("observe.logpage.LAST_LINES", plain),
    "A line of a log": ("observe.joblog._MOST_CHARACTERS", CHARACTERS),
    "What a job prints without a line's end": (
        "observe.output._LONGEST", of("KiB", of_size=KIB)),
    "Lines of a command's output in its result": ("jobs.shell_command.LINES_KEPT", plain),
    "A line of a command's output in its result": ("jobs.shell_command._LONGEST_KEPT", CHARACTERS),
    "A line of a command's output": ("jobs.programs.child_program._LONGEST_LINE", MANY),
    "A secret that is hidden also within words": ("observe.redaction.SHORTEST_HIDDEN", LEAST),
    "A line of a text file": ("jobs.files.csv_records._LONGEST_LINE", MANY),
    "A record of CSV where a bad one is to be set aside": (
        "jobs.files.careful_csv._LONGEST_RECORD", MANY),
    "A record of CSV where values are rewritten": ("jobs.files.arrow_csv._BLOCK_BYTES", MANY),
    "The header of a CSV file": ("jobs.files.csv_header._LONGEST_HEADER", MANY),
    "A value of a JSON document": ("jobs.files.json_document._MOST_CHARACTERS", CHARACTERS),
    "A row that is set aside, as it is stored": (
        "jobs.copying.rejected_rows._MOST_CHARACTERS", CHARACTERS),
    "Files that `split.by` makes": ("jobs.files.split_files._MOST_OPEN", plain),
    "Rows of a sheet": ("jobs.files.row_outputs._SHEET_ROWS", plain),
    "Characters of a cell of a sheet": ("jobs.files.row_outputs._CELL_CHARACTERS", plain),
    "Pages of HttpExtract, without `max_pages`": ("jobs.http.pagination._MOST_PAGES", plain),
    "Redirects of a request": ("jobs.http.request.MOST_REDIRECTS", plain),
    "A file that is loaded from a web server": ("jobs.http.downloaded_file._MOST_BYTES", LARGE),
    "An answer with an access token": ("jobs.http.client_credentials._MOST_BYTES", MANY),
    "`jobs` of MirrorTable": ("jobs.mirroring.parts._MOST_JOBS", plain),
    "`premake` of CreatePartitions": ("jobs.create_partitions._MOST", plain),
    "`n` of Fibonacci": ("jobs.fibonacci.LARGEST", plain),
    "The body of a request": ("web.body_limits.MAX_BODY_BYTES", BYTES),
    "Values inside each other in it": ("web.request_bodies._DEEPEST", LEVELS),
    "A token": ("store.embedded.home.SHORTEST_TOKEN", LEAST),
    "The first characters of an id": ("cli.finding._SHORTEST", exact("or more")),
    "Refused requests of strangers that the trail tells apart, per minute and process": (
        "engine.access.refusals._MOST_ADDRESSES", exact("addresses")),
    "Refused requests of known callers that the trail tells apart, per minute and process": (
        "engine.access.refusals._MOST_OF_KNOWN", exact("kinds")),
    "A path in the trail": ("engine.access.audit._LONGEST_PATH", CHARACTERS),
    "Ids of one deed in the trail": ("engine.access.audit._MOST_IDS", plain),
    "Ids that are listed where a cut one could mean several": ("cli.finding._MOST_LISTED", plain),
    "Pipelines that `headrace run` lists at its start": ("cli.services._MOST_ANNOUNCED", plain),
    "A log file of the embedded servers": ("store.embedded.place._MAX_LOG_BYTES", MANY),
    "The path of an embedded server's socket": ("store.embedded.place._MAX_SOCKET_PATH", BYTES),
    "The subject of a message": (
        "declarations.config.notification_texts._MOST_SUBJECT", CHARACTERS),
    "The text of a message": ("declarations.config.notification_texts._MOST_TEXT", CHARACTERS),
    "The body of a webhook": ("declarations.config.notification_texts._MOST_BODY", CHARACTERS),
    "An error in a message": ("engine.notifications.messages._MOST_ERROR", CHARACTERS),
    "Lines of an error in a message": ("engine.notifications.messages._MOST_LINES_OF_ERROR", plain),
    "Messages that are sent at once": ("engine.notifications.outbox._MOST_SENDS", plain),
    "A leading daemon's lease": ("engine.daemon._LEASE_S", SECONDS),
    "A daemon's look for what is due": ("engine.daemon._TICK_S", SECONDS),
    "Messages that Redis has lost": ("engine.operations.recovery.OVERDUE_S", SECONDS),
    "Jobs and runs that nobody has moved on": (
        "engine.operations.recovery._SWEEP_EVERY_S", SECONDS),
    "Rows behind their retention": (
        "engine.operations.housekeeping._PRUNE_EVERY_S", lambda s: f"{s / 3600:g} h"),
    "A worker's sign of life": ("queue.worker._HEARTBEAT_S", SECONDS),
    "A statement that waits for a lock, where nothing else is said": (
        "model.connection.DEFAULT_LOCK_TIMEOUT_S", SECONDS),
    "`validate --explain`, a statement": (
        "store.explain._TIMEOUT_MS", lambda ms: f"{ms / 1000:g} s"),
    "`validate --explain`, a lock": (
        "store.explain._LOCK_TIMEOUT_MS", lambda ms: f"{ms / 1000:g} s"),
    "PostgreSQL or Redis, for `/health/ready`": ("web.health._READY_S", SECONDS),
    "A new line of a log": ("engine.attempts.log_keeper._PATIENCE_S", SECONDS),
    "A look for other job files": ("engine.catalog.job_files._EVERY_S", SECONDS),
    "Between two tries to send a message": (
        "engine.notifications.outbox._LONGEST_DELAY_S", lambda s: f"{s / 60:g} min at most"),
    "A receiver's `Retry-After`": (
        "jobapi.outbound.http_call._LONGEST_WAIT_S", lambda s: f"{s / 3600:g} h at most"),
    "Traces or lineage that a receiver refuses": (
        "engine.telemetry.exporting._PATIENCE_S", lambda s: f"{s / 3600:g} h"),
    "A wrong token on the page": ("web.signed_in._WRONG_TOKEN_PAUSE_S", SECONDS),
    "The start of the embedded PostgreSQL": ("store.embedded.postgres._START_LIMIT_S", SECONDS),
    "The start of the embedded Valkey": ("store.embedded.valkey._START_LIMIT_S", SECONDS),
    "A process of `headrace run` that has ended by accident": (
        "cli.supervisor._LONGEST_PAUSE_S", lambda s: f"{s:g} s at most"),
}  # fmt: skip
# Of caches, of what is tried before another way is taken, and of other programs.
INTERNAL = {
    "cli.forecasting._MOST_FILES", "declarations.source.builder.MAX_PROBLEMS",
    "engine.access.refusals._MOST_WAITING",
    "engine.attempts.log_keeper._MOST_WAITING", "engine.attempts.one_message._LONGEST_REST",
    "engine.catalog.checked_files._MOST_READ_BYTES", "engine.catalog.result_cache._MOST_BYTES",
    "engine.explain.checking_processes._MOST_PROCESSES",
    "engine.notifications.messages._MOST_SUBJECT",
    "engine.notifications.outbox._MOST_ERROR", "engine.scheduling.pipeline_triggers._MOST_READ",
    "engine.scheduling.pipeline_triggers._MOST_SEEN", "engine.scheduling.subpipelines.MOST_RUNS",
    "engine.scheduling.subpipelines._MOST_JOBS",
    "engine.workers.attempt_outcome._LONGEST_ABSTENTION",
    "engine.workers.group_commit.child_side._MOST_SAID",
    "engine.workers.group_commit.shared_work._MOST_KNOWN", "errors.suggestions._LONGEST",
    "errors.suggestions._MOST_CANDIDATES", "jobapi.outbound.pinned_connection._MOST_HINTS",
    "jobs.create_partitions._LONGEST_NAME", "jobs.create_partitions._MOST_AT_ONCE",
    "jobs.files.csv_header._LONGEST_LINE", "jobs.files.csv_records._LONGEST_RECORD",
    "jobs.files.kept_values._LONGEST_FIELD", "jobs.files.text_files._LONGEST_LINE_BYTES",
    "jobs.others.mysql_dialect._LONGEST_KEY", "jobs.others.mysql_dialect._LONGEST_VARCHAR",
    "jobs.others.value_fitting._LONGEST_INT", "jobs.transfer.watermark._DEEPEST",
    "observe.logpage.LONGEST_BYTES", "plan.calendar_instants._LONGEST_SHIFT",
    "observe.redaction._SHORTEST", "queue.connect._MOST_REASON",
    "queue.consumer._MOST_SHOWN", "queue.progress_memory._MOST", "queue.shared_memory.MOST_HELD",
    "queue.traces._MOST_BYTES", "queue.unprefixed_keys._MOST", "store.appending._LONGEST",
    "store.embedded.place._LONGEST_SOCKET_NAME",
    "store.error_reasons._MOST_WORDS", "store.others.mysql_line._LONGEST_STATEMENT_MS",
    "store.others.mysql_types._MOST_DIGITS_OF_SECONDS", "store.others.sqlite_line._LONGEST_INT",
    "template.lexer._LONGEST_KEPT", "testing.pipeline_run._MOST_IDLE_LOOKS",
    "web.demonstration._MOST_CHARACTERS", "web.signed_in._MOST_FIELDS",
}  # fmt: skip
BOUND = re.compile(
    r"^(\w*(?:MOST|LONGEST|MAX|LARGEST|DEEPEST|SHORTEST)\w*)(?: *:[^=\n]+)? = ", re.M
)

# Tests shorten it by the environment before the module is read.
SET_BY_TESTS = {"A dead worker on another host"}


def rows() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| [^|]*\|$", text, re.MULTILINE)
    return {what: limit for what, limit in found if what != "What" and not limit.startswith("-")}


def test_every_limit_on_the_page_is_held_to_the_code() -> None:
    assert rows().keys() == LIMITS.keys() | SET_BY_TESTS


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_is_as_the_page_says(what: str) -> None:
    place, written = LIMITS[what]
    module, _, name = place.rpartition(".")
    value = getattr(importlib.import_module(f"headrace.{module}"), name)
    assert rows()[what] == written(value)


def test_every_bound_of_the_code_is_on_the_page_or_is_none_of_a_users() -> None:
    root = PAGE.parents[2]
    found = set()
    for top, package in ((root / "runner", ""), (root / "jobs", "jobs.")):
        for path in top.rglob("*.py"):
            module = package + ".".join(path.relative_to(top).with_suffix("").parts)
            for name in BOUND.findall(path.read_text(encoding="utf-8")):
                if not name.endswith("_S"):
                    found.add(f"{module.removesuffix('.__init__')}.{name}")
    known = {place for place, _ in LIMITS.values()}
    assert found - known == INTERNAL
