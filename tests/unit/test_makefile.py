"""What `make` hands on to the programs behind its targets."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def called(arguments: str) -> str:
    """Return what `make test` would run."""
    return subprocess.run(
        ["make", "-n", "-o", "install-dev", "test", f"ARGS={arguments}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("arguments", ["", "-k gate", "tests/unit --durations=5"])
def test_tests_run_in_four_processes(arguments: str) -> None:
    assert f"-n 4 --dist loadscope {arguments}".strip() in called(arguments)


@pytest.mark.parametrize("arguments", ["-s", "-x -k gate", "--pdb", "-n0", "-n 4 tests/unit"])
def test_tests_run_in_one_process_where_a_person_looks_on(arguments: str) -> None:
    assert f"-m pytest  {arguments}" in called(arguments)
