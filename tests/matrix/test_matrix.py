"""Every built-in job in every place, run as a user runs it; see `docs/testing.md`."""

import pytest

from headrace.engine.catalog.job_registry import Registry
from tests.matrix.cells import CELLS, COPIES, NO_DATABASE, Cell, copies
from tests.matrix.conftest import Matrix, filled, filled_in
from tests.matrix.places import NAMES, Place

pytestmark = pytest.mark.timeout(600)  # the first one waits for all places' servers and runs


@pytest.mark.parametrize("place", NAMES)
@pytest.mark.parametrize("kind", CELLS)
def test_a_job_does_in_every_place_what_it_does_in_one(matrix: Matrix, kind: str, place: str):
    at = matrix.places[place]
    _holds(matrix, f"{kind}__{place}", CELLS[kind][1](at), at, at)


@pytest.mark.parametrize(("kind", "source", "target"), copies())
def test_a_copy_arrives_whole_wherever_it_comes_from(
    matrix: Matrix, kind: str, source: str, target: str
):
    at, to = matrix.places[source], matrix.places[target]
    _holds(matrix, f"{kind}__{source}__{target}", COPIES[kind][1](at), at, to)


@pytest.mark.parametrize("job", NO_DATABASE)
def test_a_job_without_a_database_runs_once(matrix: Matrix, job: str):
    ended = matrix.ended(job.lower())
    assert ended.job["status"] == ("failed" if job == "FailedJob" else "completed")


def _holds(matrix: Matrix, name: str, cell: Cell, source: Place, target: Place) -> None:
    ended = matrix.ended(name)
    said = f"{ended.job['error']}\n{ended.logs}"
    assert ended.job["status"] == cell.status, said
    assert cell.error in (ended.job["error"] or "")
    assert cell.logs in ended.logs
    for key, value in (cell.result or {}).items():
        assert ended.job["result"][key] == filled_in(value, name, matrix, source, target)
    if cell.exported is not None:
        (file,) = matrix.folder.rglob(f"m_{name}.csv")
        assert file.read_text(encoding="utf-8") == cell.exported
    for query, rows in cell.sees.items():
        expected = [
            tuple(filled(one, name, matrix, source) if isinstance(one, str) else one for one in row)
            for row in rows
        ]
        assert matrix.rows(target.url, filled(query, name, matrix, source)) == expected, query


def test_the_matrix_covers_every_built_in_job(capsys: pytest.CaptureFixture[str]):
    jobs = {job for job, _ in (*CELLS.values(), *COPIES.values())} | set(NO_DATABASE)
    cells = len(CELLS) * len(NAMES) + len(copies()) + len(NO_DATABASE)
    with capsys.disabled():
        print(f"\nmatrix: {len(jobs)} jobs, {len(NAMES)} places, {cells} cells")
    assert jobs == set(Registry().names())
