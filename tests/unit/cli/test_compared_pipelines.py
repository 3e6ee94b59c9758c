"""Both sides of `headrace plan --diff`: what the daemon runs, and what the files say."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import plan_diff
from headrace.errors import ConfigError, Problem, ProblemsError, UnknownPipeline

OLD = SimpleNamespace(version="v" * 64, loaded_at=None, file="pipelines/old.yaml")
OF_OLD, OF_BAD = (
    Problem(f"pipelines/{name}.yaml", 1, 1, "bad-yaml", "m", "h") for name in ("old", "bad")
)
GOOD = SimpleNamespace(version="w" * 64, file="pipelines/good.yaml")


class Files:
    """Of the files beside each other one is good, one has problems, and one tells no name."""

    problems = (OF_OLD, OF_BAD)

    def get(self, name: str) -> Any:
        if name == "good":
            return GOOD
        if name == "bad":
            raise ProblemsError([OF_BAD])
        raise UnknownPipeline(f"there is no {name}")


@pytest.fixture
def active(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the daemon runs."""
    found: dict[str, Any] = {"old": OLD, "bad": OLD}
    catalog = "headrace.engine.catalog"
    monkeypatch.setattr(plan_diff, "reached_database", lambda _settings: nullcontext("database"))
    monkeypatch.setattr(f"{catalog}.active_definitions.running", {"database": found}.get)
    monkeypatch.setattr(f"{catalog}.job_registry.registry_of", lambda _settings: None)
    monkeypatch.setattr(f"{catalog}.pipeline_catalog.Pipelines", lambda *_given: Files())
    return found


@pytest.mark.parametrize(
    ("name", "running", "on_disk", "problems", "verdict"),
    [
        ("good", None, GOOD, [], "new"),
        ("bad", OLD, None, [OF_BAD], "invalid"),
        ("old", OLD, None, [OF_OLD], "invalid"),
    ],
)
def test_each_side_may_be_missing(
    active: dict[str, Any], name: str, running: Any, on_disk: Any, problems: Any, verdict: str
) -> None:
    compared = plan_diff._compared(name, None)  # type: ignore[arg-type]

    assert (compared.name, compared.running, compared.on_disk) == (name, running, on_disk)
    assert (compared.problems, compared.verdict) == (problems, verdict)


def test_a_name_that_neither_side_has_is_unknown(active: dict[str, Any]) -> None:
    with pytest.raises(UnknownPipeline, match="there is no other"):
        plan_diff._compared("other", None)  # type: ignore[arg-type]


def test_without_a_daemon_there_is_nothing_to_compare_with(
    active: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "headrace.engine.catalog.active_definitions.running", lambda _database: None
    )
    told = "no daemon is running, so no pipelines are active; `headrace up` starts one"
    with pytest.raises(ConfigError, match=told):
        plan_diff._compared("good", None)  # type: ignore[arg-type]
