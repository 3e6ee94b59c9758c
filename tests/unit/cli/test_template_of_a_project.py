"""What `headrace init` takes from its template, and what it says comes next."""

from pathlib import Path

import pytest

from headrace.cli import project
from headrace.model.version import __version__
from headrace.store import embedded


def test_files_are_taken_in_their_order_and_caches_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "jobs/own.py": "# of @PROJECT@, @PROJECT@",
        "a.toml": "headrace=={@VERSION@}",
        "jobs/__pycache__/own.pyc": "\0",
        ".mypy_cache/3.12/own.json": "{}",
        ".pytest_cache/x": "",
        ".ruff_cache/x": "",
    }
    template = tmp_path / "template"
    for name, text in texts.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(text)
    monkeypatch.setattr(project, "_TEMPLATE", template)

    found = project._texts(tmp_path / "My Shop")

    assert list(found.items()) == [
        ("a.toml", f"headrace=={{{__version__}}}"),
        ("jobs/own.py", "# of my-shop, my-shop"),
    ]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Sales 2026", "sales-2026"), ("_a_b-", "a_b"), ("é", "pipelines"), ("a..b", "a-b")],
)
def test_a_project_is_called_like_its_folder_as_far_as_compose_takes_it(
    tmp_path: Path, folder: str, name: str
) -> None:
    assert project._name_of(tmp_path / folder) == name


@pytest.mark.parametrize("clone", [None, Path("/src/head race")])
def test_a_wheel_is_to_be_made_only_where_headrace_is_a_clone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    clone: Path | None,
) -> None:
    monkeypatch.setattr("headrace.jobapi.folders.clone", lambda: clone)
    monkeypatch.setattr(embedded, "missing", lambda: None)
    monkeypatch.setattr(project, "_call", lambda: "headrace")
    monkeypatch.chdir(tmp_path)
    project._print_next(Path("my etl"))

    wheel = [
        "  # Headrace is a clone here; the project installs its wheel.",
        f"  make -C '/src/head race' wheel WHEELS='{tmp_path}/my etl/wheels'",
    ]
    assert capsys.readouterr().out.splitlines() == [
        "",
        "README.md says what lies where. Now:",
        *(wheel if clone else []),
        "  cd 'my etl' && make demo",
        "Without make, in this environment: cd 'my etl' && headrace run hello",
    ]
