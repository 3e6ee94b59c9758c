"""`-p tests.support.costs` tells what each file computes and how long it only waits."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import subprocess, sys, time
BUSY = "import time\\nwhile time.process_time() < 0.5: pass"
def test_what_it_starts_computes():
    subprocess.run([sys.executable, "-c", BUSY], check=True)
def test_waits():
    time.sleep(0.5)
"""


def test_the_computing_of_what_a_test_starts_is_told_apart_from_waiting(tmp_path: Path):
    (tmp_path / "test_both.py").write_text(TESTS)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.costs",
         "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    if "nothing can be measured" in done.stderr:
        pytest.skip(done.stderr)
    told = re.search(r"([\d.]+) computed +([\d.]+) waited +([\d.]+) in all +test_both", done.stdout)
    assert told is not None, done.stdout
    computed, waited, took = map(float, told.groups())
    assert computed >= 0.5
    assert 0.3 < waited < took
