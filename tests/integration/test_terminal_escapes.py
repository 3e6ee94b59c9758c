"""What a job says reaches the operator's terminal as text, whatever is in it."""

import re
from pathlib import Path

import pytest

from tests.support.cli import Headrace

# Many commands, one after the other, on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")
SAID = "\\x1b]0;owned\\x07\\x9b2J\\r12:00:00 forged"
JOB = f"""
from jobs.base import BaseJob, logger


class Speaks(BaseJob):
    def __init__(self, fail=False, **kwargs):
        super().__init__(**kwargs)
        self.fail = fail

    def handle(self):
        logger.info("said {SAID}\\n23:59:59 daemon   forged line")
        print("printed {SAID}")
        if self.fail:
            raise ValueError("error {SAID}\\n23:59:59 daemon   forged line")
        return {{"result": "returned {SAID}"}}
"""
PIPELINE = """
name: speaks
steps:
  - {id: well, job: Speaks}
  - {id: badly, job: Speaks, with: {fail: true}, depends_on: [well]}
"""


@pytest.fixture
def headrace(tmp_path: Path) -> Headrace:
    for name in ("jobs", "pipelines"):
        (tmp_path / name).mkdir()
    (tmp_path / "jobs" / "speaks.py").write_text(JOB)
    (tmp_path / "pipelines" / "speaks.yaml").write_text(PIPELINE)
    return Headrace(tmp_path, {"JOB_MAX_RETRIES": "0"})


def test_no_command_passes_a_job_s_escapes_on(headrace: Headrace):
    with headrace.started("up", "--no-web", "--workers", "1") as up:
        up.wait_for("are active")
        shown = [headrace("run", "speaks")]
        run = headrace("runs", "--json").json["items"][0]["id"]
        job = headrace("jobs", "--status", "failed", "--json").json["items"][0]["id"]
        shown += [headrace(*words) for words in (["show", run], ["logs", run], ["jobs"])]
        shown += [headrace("logs", run, "--json"), headrace("show", job), headrace("top", "--once")]
        up.stop()  # With its servers, which outlive one that is killed.
        log = up.output()

    whole = log + "".join(done.out + done.err for done in shown)
    assert "owned" in whole
    assert not RAW.search(whole), RAW.search(whole)
    assert not [line for line in whole.splitlines() if line.startswith("23:59:59")]
    assert not [line for line in whole.splitlines() if line.startswith("12:00:00")]


def test_a_name_in_a_file_reaches_no_terminal_raw(headrace: Headrace):
    bad = 'name: "x\\e[2Jy"\nsteps: [{id: a, job: "No\\e]0;t\\aJob"}]\n'
    (headrace.folder / "pipelines" / "bad.yaml").write_text(bad)

    for words in (["validate"], ["validate", "--json"], ["plan", "x\x1b[2Jy"], ["show", "\x9b2J"]):
        done = headrace(*words)
        assert not RAW.search(done.out + done.err)
