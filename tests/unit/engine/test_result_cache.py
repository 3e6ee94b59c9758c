"""The file of remembered results stays small, and loses only what nobody wants any more."""

from pathlib import Path

import pytest

from headrace.engine.catalog.result_cache import ResultCache
from tests.unit.engine.test_checked_files import PLAIN, Project


def lines_of(home: Path) -> int:
    return sum(1 for line in (home / "cache" / "checked.lines").read_text().split("\n") if line)


def test_lines_out_of_use_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("headrace.engine.catalog.result_cache._SPARE_OF_GROUP", 10)
    for number in range(20):
        cache = ResultCache(tmp_path, "a" * 32)
        for n in range(10):
            cache.get(f"{number * 10 + n:032}")
            cache.put(f"{number * 10 + n:032}", n)
        cache.save(make_home=True)

    assert lines_of(tmp_path) < 50
    assert ResultCache(tmp_path, "a" * 32).get(f"{199:032}") == 9


def test_a_cache_that_has_grown_too_large_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project = Project(tmp_path)
    project.write("pipelines/plain.yaml", PLAIN)
    project.look()
    with monkeypatch.context() as patch:
        patch.setattr("headrace.engine.catalog.result_cache._MOST_BYTES", 100)
        project.look()
    assert lines_of(project.settings.home) == 2


def test_a_look_at_one_file_keeps_what_is_known_of_the_others(tmp_path: Path):
    def keep(group: str, numbers: range) -> None:
        cache = ResultCache(tmp_path, group * 32)
        for n in numbers:
            if cache.get(f"{n:032}") is None:
                cache.put(f"{n:032}", n)
        cache.save(make_home=True)

    keep("a", range(400))
    keep("a", range(400, 401))
    assert lines_of(tmp_path) == 401
    for group in "bcd":
        keep(group, range(400))
    keep("d", range(400, 402))

    assert lines_of(tmp_path) <= 2 * 400 + 500
    assert ResultCache(tmp_path, "d" * 32).get(f"{7:032}") == 7
