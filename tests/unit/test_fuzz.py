"""`make fuzz`: which tests it takes, how long, and what it tells at its end."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROPERTIES = """
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.generated import Seeds, budget

@budget(20)
@given(st.integers())
def test_of_hypothesis(number):
    assert number < 10**3 or number % 2

@pytest.mark.generated
def test_of_seeds():
    for seed in Seeds()(30):
        print("seed", seed)

def test_of_one_case():
    raise AssertionError
"""


def test_properties_alone_are_repeated_and_what_fails_is_told_with_its_seed(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_properties.py").write_text(PROPERTIES)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "tests.support.fuzz", "-c",
         str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider",
         "--fuzz-minutes", "0.01", "--fuzz-seed", "7", str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert re.search(r"number=1_?000", done.stdout), "the smallest failing case"
    assert re.search(r"test_of_hypothesis  FAILED$", done.stdout, re.M)
    seeds = re.findall(r"seed (\d+)$", done.stdout, re.M)
    assert len(seeds) == len(set(seeds)) >= 60
    assert re.search(rf"^ +{len(seeds):,} .*test_of_seeds$", done.stdout, re.M)
    assert "of 2 properties, 1 of them failed; seed 7." in done.stdout
    assert 'Again: make fuzz SEED=7 ARGS="-k NAME".' in done.stdout
