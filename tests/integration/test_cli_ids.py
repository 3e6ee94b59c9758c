"""The newest run, ids that are cut, and logs that are followed, as a user calls them."""

from pathlib import Path

import pytest

from tests.support.cli import Headrace

TWO = """\
name: two
steps:
  - {id: first, job: Fibonacci, with: {n: 3}}
  - {id: second, job: Fibonacci, depends_on: [first], with: {n: 4}}
"""
TALK = """\
name: talk
steps: [{id: say, job: Talk}]
"""
TALK_JOB = """\
import time
from pathlib import Path

from headrace import BaseJob, logger


class Talk(BaseJob):
    def handle(self):
        logger.info("begun")
        while not Path("go").exists():
            time.sleep(0.05)
        logger.info("gone on")
"""


@pytest.fixture
def headrace(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    for name in ("pipelines", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "pipelines" / "two.yaml").write_text(TWO)
    (tmp_path / "pipelines" / "talk.yaml").write_text(TALK)
    (tmp_path / "jobs" / "talk.py").write_text(TALK_JOB)
    return Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})


def beginning(id_: str, others: list[str]) -> str:
    """The shortest beginning that no other id has."""
    return next(
        id_[:size] for size in range(4, 37) if not any(o[:size] == id_[:size] for o in others)
    )


def test_an_id_may_be_cut_to_a_unique_beginning_and_an_ambiguous_one_lists_the_candidates(
    headrace: Headrace,
):
    run = headrace("run", "two", "--detach").out.strip()
    # A run goes before its own jobs where something is only shown.
    shown = headrace("show", run[:4], "--json").json
    assert shown["id"] == run
    jobs = [job["id"] for job in shown["jobs"]]
    assert headrace("logs", run[:4]).out == "No log lines.\n"
    refused = headrace("cancel", run[:4])
    assert (refused.code, refused.out) == (1, "")
    assert all(one in refused.err for one in (run, *jobs))

    other = headrace("run", "two", "--detach").out.strip()
    newer = [one["id"] for one in headrace("last", "two", "--json").json["jobs"]]
    ambiguous = headrace("show", run[:4])
    assert ambiguous.code == 1
    assert f"several ids begin with {run[:4]}" in ambiguous.err
    assert f"run {run} two, running" in ambiguous.err
    assert f"run {other} two, running" in ambiguous.err

    rest = [run, other, *jobs, *newer]
    cut = beginning(jobs[0], [one for one in rest if one != jobs[0]])
    assert headrace("cancel", cut).out == f"job {jobs[0]} is cancelled\n"
    assert headrace("retry", cut.upper()).out.startswith(f"job {jobs[0]} is queued\n")
    row = headrace("audit", "--json", "--limit", "1").json["items"][0]
    assert (row["path"], row["concerns"]) == (f"headrace retry {cut.upper()}", f"job {jobs[0]}")
    unknown = headrace("show", "ffffffff")
    assert (unknown.code, unknown.err) == (1, "no id of a run or job begins with ffffffff\n")


def test_last_shows_the_newest_run_of_all_or_of_one_pipeline(headrace: Headrace):
    nothing = headrace("last")
    assert (nothing.code, nothing.out) == (1, "")
    assert "there is no run yet; `headrace run PIPELINE` starts one" in nothing.err
    two = headrace("run", "two", "--detach").out.strip()
    talk = headrace("run", "talk", "--detach").out.strip()

    assert headrace("last", "--json").json["id"] == talk
    assert headrace("last", "two").out.splitlines()[0].split() == ["id", two]
    unknown = headrace("last", "tow")
    assert unknown.code == 1
    assert 'did you mean "two"' in unknown.err


def test_logs_are_followed_line_by_line_to_the_end_of_the_run(headrace: Headrace):
    run = headrace("run", "talk", "--detach").out.strip()
    with (
        headrace.started("logs", "-f") as following,
        headrace.started("logs", run, "--follow", "--json") as as_json,
        headrace.started("worker"),
    ):
        for one, text in ((following, "say begun\n"), (as_json, '"message":"begun"')):
            one.wait_for(text)
            assert one.process.poll() is None
            assert "gone on" not in one.output()

        (headrace.folder / "go").touch()

        for one in (following, as_json):
            assert one.process.wait(timeout=40) == 0
        assert [line[20:] for line in following.output().splitlines()] == [
            "say begun",
            "say gone on",
        ]
        assert as_json.output().count('"step":"say"') == as_json.output().count("\n") == 2
    assert headrace("logs", run, "-f").out == following.output()
