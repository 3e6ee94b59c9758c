"""What listings and `show` print of rows, whole: each column under its heading, in its order."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.arguments import parser
from headrace.cli.finding import find, newest_run
from headrace.engine.application import Headrace
from headrace.errors import AmbiguousId, ConfigError, NotFound, UnknownPipeline
from tests.support.servers import connect
from tests.support.web import installation

RUN, OTHER = (f"0199c0de-0000-7000-8000-00000000000{n}" for n in (1, 2))
DONE, BAD, OFF, ALONE = (f"0199c0de-0000-7000-9000-00000000000{n}" for n in range(1, 5))
ROWS = f"""
INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, params, plan,
                          created_at, started_at, finished_at, error, late)
VALUES ('{RUN}', 'chain', 'v1', 'failed', 'schedule', '2026-01-02T00:00Z', '{{"n": 5}}', '{{}}',
        '2026-01-02T00:00:01Z', '2026-01-02T00:00:02Z', '2026-01-02T00:01:07Z', 'bad failed',
        '{{"": {{"rule": "deadline", "since": "01:00"}}, "bad": {{"rule": "expected_duration",
          "since": "02:00"}}}}'),
       ('{OTHER}', 'plain', 'v2', 'running', 'api', '2026-01-03T00:00Z', '{{}}', '{{}}',
        '2026-01-03T00:00:00Z', NULL, NULL, NULL, NULL);
INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry, run_id, pipeline,
                          step, attempt, worker, created_at, queued_at, started_at, finished_at,
                          error, traceback, retry_count, result)
VALUES ('{DONE}', 'Fibonacci', '{{"n": 5}}', 'completed', 'high', 1, '{{}}', '{RUN}', 'chain',
        'first', 1, 'w1', '2026-01-02T00:00:01Z', '2026-01-02T00:00:02Z', '2026-01-02T00:00:02Z',
        '2026-01-02T00:00:02.5Z', 'an earlier one', NULL, 0, '{{"value": 5}}'),
       ('{BAD}', 'RunSql', '{{}}', 'failed', 'low', 1, '{{}}', '{RUN}', 'chain', 'bad', 2, 'w2',
        '2026-01-02T00:00:01Z', '2026-01-02T00:00:03Z', '2026-01-02T00:00:05Z',
        '2026-01-02T00:01:05Z', E'boom\\nfurther', E'Traceback\\n  a line\\n', 1, NULL),
       ('{OFF}', 'RunSql', '{{}}', 'skipped', 'low', 1, '{{}}', '{RUN}', 'chain', 'off', 0, NULL,
        '2026-01-02T00:00:01Z', NULL, NULL, '2026-01-02T00:01:06Z', NULL, NULL, 0, NULL);
INSERT INTO headrace.job (id, job_class, status, queue, timeout_s, retry, created_at)
VALUES ('{ALONE}', 'FailedJob', 'queued', 'medium', 1, '{{}}', '2026-01-04T00:00:00Z');
INSERT INTO headrace.job_dependency (upstream_id, job_id) VALUES ('{DONE}', '{BAD}');
INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at, finished_at, error)
VALUES ('{BAD}', 1, 'crashed', 'w1', '2026-01-02T00:00:03Z', '2026-01-02T00:00:04Z', 'it died');
INSERT INTO headrace.job_log (job_id, attempt, line, at, level, message)
VALUES ('{DONE}', 1, 1, '2026-01-02T00:00:02Z', 'info', 'counted'),
       ('{BAD}', 2, 1, '2026-01-02T00:00:06Z', 'warning', E'odd\\nrow'),
       ('{BAD}', 1, 1, '2026-01-02T00:00:03Z', 'info', 'first try');
INSERT INTO headrace.notification (kind, receiver, pipeline, run_id, step, content, status, tries,
                                   error, created_at, ended_at)
VALUES ('failure', 'pager', 'chain', '{RUN}', NULL, '{{}}', 'sent', 1, NULL,
        '2026-01-02T00:02:00Z', '2026-01-02T00:02:01Z'),
       ('late', 'post', 'chain', '{RUN}', 'bad', '{{}}', 'pending', 3, 'away',
        '2026-01-02T00:00:30Z', NULL);
INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes, status, job_files,
                             started_at, seen_at)
VALUES ('elsewhere.7.1', 'elsewhere', 7, 1, '{{high,low}}', 3, 'running', '',
        '2026-01-01T00:00:00Z', clock_timestamp() + interval '1 hour');
INSERT INTO headrace.schedule (pipeline, seen_until, next_instant, paused, skipped, declared)
VALUES ('chain', '2100-01-01T00:00:00Z', '2100-01-01T01:00:00Z', true, 4, 'x');
"""


@pytest.fixture
def headrace(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Headrace]:
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(ROWS)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with installation(database, redis_url, tmp_path) as found:
        for name in ("listings", "showing", "job_logs", "notifying", "top", "declaration_lists"):
            module = import_module(f"headrace.cli.{name}")
            monkeypatch.setattr(module, "installation", lambda _given: nullcontext(found))
        yield found
    monkeypatch.undo()
    time.tzset()


Shown = Callable[..., str]


@pytest.fixture
def shown(headrace: Headrace, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Return what a command prints, with the beginning of all ids as `~`."""

    def call(line: str) -> str:
        given = parser().parse_args(line.split())
        module, _, function = given.command.partition(":")
        assert not getattr(import_module(f"headrace.cli.{module}"), function)(given)
        return capsys.readouterr().out.replace("0199c0de-0000-7000-", "~")

    return call


RUNS = """\
RUN                                   PIPELINE  STATUS   TRIGGER   LOGICAL DATE         STARTED              TOOK
~8000-000000000002  plain     running  api       2026-01-03 00:00:00  -                    -
~8000-000000000001  chain     failed   schedule  2026-01-02 00:00:00  2026-01-02 00:00:02  1m 05s
"""  # noqa: E501
JOBS = """\
JOB                                   CLASS      STATUS     QUEUE   STEP         ATTEMPT  TOOK    ERROR
~9000-000000000004  FailedJob  queued     medium  -            0        -       -
~9000-000000000003  RunSql     skipped    low     chain.off    0        -       -
~9000-000000000002  RunSql     failed     low     chain.bad    2        1m 00s  boom further
~9000-000000000001  Fibonacci  completed  high    chain.first  1        0.50 s  an earlier one
"""  # noqa: E501
WORKERS = """\
WORKER         STATUS   QUEUES    PROCESSES  RUNNING  STARTED              SEEN
elsewhere.7.1  running  high,low  3          0        2026-01-01 00:00:00  0.00 s ago
"""
QUEUES = """\
QUEUE   QUEUED  STARTED  RETRYING  MESSAGES  OLDEST  WORKERS
high    0       0        0         0         -       1
medium  1       0        0         0         -       0
low     0       0        0         0         -       1

To see these queues with RQ's own programs: RQ_KEY_PREFIX=headrace-"""
OUTBOX = """\
AT                   KIND     OF         RECEIVER  STATUS   TRIES  RUN                                   ERROR
2026-01-02 00:02:00  failure  chain      pager     sent     1      ~8000-000000000001  -
2026-01-02 00:00:30  late     chain.bad  post      pending  3      ~8000-000000000001  away
"""  # noqa: E501


def test_listings_have_each_value_under_its_heading(
    shown: Shown, headrace: Headrace, capsys: pytest.CaptureFixture[str]
):
    assert shown("runs") == RUNS
    assert shown("jobs") == JOBS
    assert shown("workers") == WORKERS
    assert shown("queues").startswith(QUEUES)
    assert shown("outbox") == OUTBOX
    assert shown("schedules") == (
        "PIPELINE  SCHEDULE       NEXT                     DUE     SKIPPED\n"
        "chain     0 * * * * UTC  2100-01-01 01:00:00 UTC  paused  4\n"
    )
    pipelines = re.sub(r"\d+d \d\dh", "LONG", shown("pipelines"))
    assert pipelines == (
        "PIPELINE  STEPS  NEXT     LAST RUN             DESCRIPTION\n"
        "chain     3      paused   failed LONG ago  Three steps, one after the other.\n"
        "plain     1      by hand  running\n"
    )
    capsys.readouterr()
    given = parser().parse_args(["schedules"])
    import_module("headrace.cli.declaration_lists").schedules(given)
    no_daemon, ahead = capsys.readouterr().err.splitlines()
    assert no_daemon == "No daemon is active: no runs start automatically until one is."
    assert ahead == (
        "chain is remembered as dealt with up to 2100-01-01 00:00:00 UTC, which is still to come:"
        " a clock was ahead. The daemon sets it back."
    )
    top = shown("top").splitlines()
    assert re.fullmatch(r"headrace \d\d:\d\d:\d\d  no active daemon  1 workers", top[0])
    assert top[1:8] == [
        "",
        "QUEUE   QUEUED  STARTED  RETRYING  MESSAGES",
        "high    0       0        0         0",
        "medium  1       0        0         0",
        "low     0       0        0         0",
        "",
        "WORKER         STATUS   QUEUES    BUSY  SEEN",
    ]
    assert top[8] == "elsewhere.7.1  running  high,low  0/3   0.00 s"
    assert top[9].startswith("worker elsewhere.7.1 runs with other job files")
    assert top[-1] == (
        "~8000-000000000001  chain     failed   schedule  2026-01-02 00:00:02  1m 05s"
    )


SHOWN_RUN = """\
id             ~8000-000000000001
pipeline       chain
status         failed
trigger        schedule
logical_date   2026-01-02 00:00:00
params         {"n": 5}
version        v1
created_at     2026-01-02 00:00:01
started_at     2026-01-02 00:00:02
finished_at    2026-01-02 00:01:07
error          bad failed
took           1m 05s

STEP   CLASS      STATUS     QUEUE  ATTEMPT  TOOK    JOB
first  Fibonacci  completed  high   1        0.50 s  ~9000-000000000001
bad    RunSql     failed     low    2        1m 00s  ~9000-000000000002
off    RunSql     skipped    low    0        -       ~9000-000000000003

late           the run: its deadline passed at 01:00
late           step bad: its expected_duration passed at 02:00

NOTIFICATION  RECEIVER  STATUS   TRIES  AT                   ERROR
late (bad)    post      pending  3      2026-01-02 00:00:30  away
failure       pager     sent     1      2026-01-02 00:02:01  -

error of bad
  boom
  further

traceback of bad
  Traceback
    a line
"""
SHOWN_JOB = """\
id             ~9000-000000000002
job_class      RunSql
status         failed
queue          low
run_id         ~8000-000000000001
pipeline       chain
step           bad
attempt        2
retry_count    1
worker         w2
created_at     2026-01-02 00:00:01
queued_at      2026-01-02 00:00:03
started_at     2026-01-02 00:00:05
finished_at    2026-01-02 00:01:05
depends_on     ~9000-000000000001
took           1m 00s

ATTEMPT  OUTCOME  WORKER  STARTED              TOOK    ERROR
1        crashed  w1      2026-01-02 00:00:03  1.00 s  it died

error
  boom
  further

traceback
  Traceback
    a line
"""
SHOWN_LOGS = """\
2026-01-02 00:00:02 first counted
2026-01-02 00:00:03 bad first try
2026-01-02 00:00:06 bad (attempt 2) warning: odd
                  | row
"""


def test_a_run_a_job_and_their_logs_are_shown_whole(shown: Shown, headrace: Headrace):
    assert shown(f"show {RUN}") == shown("last chain") == SHOWN_RUN
    assert shown(f"show {BAD}") == SHOWN_JOB
    done = shown(f"show {DONE}").splitlines()
    assert 'payload        {"n": 5}' in done
    assert not [line for line in done if line.startswith("depends_on")]
    assert 'result         {"value": 5}' in done
    assert shown(f"show {OTHER}").endswith("took           -\n\nIt has no steps.\n")
    assert shown(f"show {OFF}").endswith("took           -\n\nIt had no attempt.\n")
    assert shown(f"logs {RUN}") == SHOWN_LOGS
    assert shown(f"logs {BAD}") == "".join(
        line.replace(" bad", "") for line in SHOWN_LOGS.splitlines(keepends=True)[1:]
    )
    gone = "No log lines: logs are deleted 30d after the end of a job (log_retention).\n"
    assert shown(f"logs {OFF}") == gone
    assert shown(f"logs {ALONE}") == shown("logs") == "No log lines.\n"


def test_how_far_a_job_has_got_is_shown_with_it_and_with_its_run(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
):
    five = {"share": None, "rows": 5, "done": None, "total": None, "unit": "rows", "per_second": 0}

    def with_progress(_self: Headrace, jobs: Any) -> Any:
        return [{**job, "progress": five if job["step"] != "off" else None} for job in jobs]

    monkeypatch.setattr(Headrace, "with_progress", with_progress)

    assert "\nprogress       5 rows\ntook " in shown(f"show {ALONE}")
    assert "progress" not in shown(f"show {OFF}")
    assert "\nfirst: 5 rows\nbad: 5 rows\n" in shown(f"show {RUN}")


def test_programs_get_the_rows_with_what_stands_around_them(shown: Shown, headrace: Headrace):
    def items(line: str) -> Any:
        return json.loads(shown(f"{line} --json"))["items"]

    run = json.loads(shown(f"show {RUN} --json"))
    assert (run["parent"], run["upstream"]) == (None, [])
    assert [one["receiver"] for one in run["notifications"]] == ["post", "pager"]
    assert [job["step"] for job in run["jobs"]] == ["first", "bad", "off"]
    assert "plan" not in run
    job = json.loads(shown(f"show {BAD} --json"))
    assert (job["depends_on"], job["progress"]) == (
        [DONE.replace("0199c0de-0000-7000-", "~")],
        None,
    )
    assert [one["outcome"] for one in job["attempts"]] == ["crashed"]
    assert items(f"logs {OTHER}") == []
    assert items(f"logs {DONE}") == [
        {
            "job_id": "~9000-000000000001", "step": "first", "attempt": 1, "line": 1,
            "at": "2026-01-02T00:00:02+00:00", "level": "info", "message": "counted",
        }
    ]  # fmt: skip
    assert [(one["step"], one["attempt"], one["message"]) for one in items(f"logs {RUN}")] == [
        ("first", 1, "counted"), ("bad", 1, "first try"), ("bad", 2, "odd\nrow"),
    ]  # fmt: skip
    assert items("workers")[0]["other_job_files"] is True
    assert items("queues")[1] == {
        "queue": "medium", "queued": 1, "started": 0, "retrying": 0, "messages": 0, "oldest": None,
        "workers": 0,
    }  # fmt: skip
    assert items("schedules") == [
        {
            "pipeline": "chain", "schedule": ["0 * * * * UTC"], "trigger": None, "timezone": "UTC",
            "next_instant": "2100-01-01T01:00:00+00:00", "paused": True,
            "seen_until": "2100-01-01T00:00:00+00:00", "ahead": True, "skipped": 4,
        }
    ]  # fmt: skip
    chain, plain = items("pipelines")
    assert chain.pop("version") != plain.pop("version")
    assert chain.pop("next_instant").endswith(":00:00+00:00")
    assert chain.pop("last_run")["id"] == "~8000-000000000001"
    assert chain == {
        "name": "chain", "file": str(headrace.settings.pipelines / "chain.yaml"), "steps": 3,
        "description": "Three steps, one after the other.", "schedule": ["0 * * * * UTC"],
        "trigger": None, "paused": True, "last_triggered": None, "broken": False,
    }  # fmt: skip
    assert (plain["next_instant"], plain["paused"], plain["schedule"]) == (None, False, [])


FILTERED = {
    "runs --status failed": "1", "runs --pipeline plain": "2", "runs --limit 1": "2",
    "jobs --status failed": "2", "jobs --queue low": "32", "jobs --pipeline chain": "321",
    "jobs --job FailedJob": "4", "jobs --limit 2": "43",
}  # fmt: skip


def test_a_listing_has_what_was_asked_for(shown: Shown):
    for line, last_digits in FILTERED.items():
        ids = [row.split()[0] for row in shown(line).splitlines()[1:]]
        assert "".join(one[-1] for one in ids) == last_digits, line


def test_the_outbox_has_what_was_asked_for(shown: Shown):
    for words, receivers in (
        ("--status sent", ["pager"]), ("--receiver post", ["post"]), ("--pipeline plain", []),
        ("--limit 1", ["pager"]), ("--pipeline chain", ["pager", "post"]),
    ):  # fmt: skip
        found = json.loads(shown(f"outbox {words} --json"))["items"]
        assert [row["receiver"] for row in found] == receivers
    assert shown("outbox --receiver nobody") == "No notifications match.\n"


def test_a_status_that_there_is_not_is_told_with_those_that_there_are(shown: Shown):
    for line, told in (
        ("runs --status faild", 'there is no status "faild"; did you mean "failed"?'),
        ("jobs --status zzz", 'there is no status "zzz"; it is one of: waiting, queued, started'),
        ("outbox --status lost", 'there is no status "lost"; it is one of: pending, sent, given_'),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            shown(line)


def test_an_id_may_be_cut_and_what_it_could_mean_is_listed(headrace: Headrace):
    assert find(headrace, "0199c0de-0000-7000-9000-000000000004")[0] == "job"
    assert find(headrace, "plain") == ("pipeline", {})
    for text, kind, row_id in ((RUN[:-1], None, None), (ALONE, "job", ALONE), (RUN, "run", RUN)):
        if kind is not None:
            found, row = find(headrace, text)
            assert (found, str(row["id"])) == (kind, row_id)
            continue
        with pytest.raises(AmbiguousId) as refused:
            find(headrace, text)
        first, *rest = str(refused.value).splitlines()
        assert first == f"several ids begin with {text}; give more of the one that you mean:"
        assert sorted(rest) == [
            f"  run {RUN} chain, failed, 2026-01-02 00:00:01",
            f"  run {OTHER} plain, running, 2026-01-03 00:00:00",
        ]
    for text, told in (
        ("ffff", "no id of a run or job begins with ffff"),
        (RUN[:-1] + "9", f"there is no run or job {RUN[:-1]}9"),
        ("pla-in", '"pla-in" is neither an id nor a pipeline; `headrace runs` and `headrace jobs`'),
    ):
        with pytest.raises(NotFound, match=re.escape(told)):
            find(headrace, text)


def test_the_newest_run_is_that_of_all_or_of_one_pipeline(headrace: Headrace):
    assert str(newest_run(headrace, None)["id"]) == OTHER
    assert str(newest_run(headrace, "chain")["id"]) == RUN
    with pytest.raises(UnknownPipeline, match='no pipeline "plian" and no run of it; did you mean'):
        newest_run(headrace, "plian")
    with headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM headrace.job_dependency")
        tx.connection.exec_driver_sql("DELETE FROM headrace.job")
        tx.connection.exec_driver_sql("DELETE FROM headrace.run")
    with pytest.raises(NotFound, match="there is no run yet; `headrace run PIPELINE` starts one"):
        newest_run(headrace, None)
    with pytest.raises(NotFound, match="plain has no run yet; `headrace run plain` starts one"):
        newest_run(headrace, "plain")
