"""Folders of pipeline files: what is loaded, what is left out, and how fast."""

import hashlib
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.load import load_files, load_folder
from headrace.declarations.rules.cycles import cycles
from headrace.declarations.schemas import schema
from headrace.model.retry import RetryPolicy
from tests.support.catalogue import SmallCatalogue

GOOD = "name: {name}\nsteps:\n  - {{id: only, job: FailedJob}}\n"
FIVE_STEPS = """\
name: p{number}
schedule: {{cron: "{minute} * * * *", timezone: Europe/Berlin}}
params: {{day: {{type: date, default: "{{{{ run.logical_date }}}}"}}}}
steps:
  - {{id: a, job: LoadFile, with: {{path: "{{{{ params.day }}}}.csv", table: t}}}}
  - {{id: b, job: TruncateTable, depends_on: [a], with: {{table: t}}}}
  - {{id: c, job: RunSql, depends_on: [a], with: {{sql_path: c.sql}}}}
  - {{id: d, job: SlowQuery, depends_on: [b, c], with: {{duration: 1}}, retry: {{limit: 1}}}}
  - {{id: e, job: FailedJob, depends_on: [d], timeout: 5m}}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, tmp_path)


def test_every_yaml_file_below_the_folder_is_loaded_but_hidden_and_underscored_ones(
    tmp_path: Path, settings: Settings
) -> None:
    for name in ("a.yaml", "sub/b.yml", "_draft.yaml", ".c.yaml", ".git/d.yaml", "e.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(GOOD.format(name=path.stem.strip("._")))

    result = load_folder(tmp_path, SmallCatalogue(), settings)

    assert list(result.pipelines) == ["a", "b"]
    assert result.problems == []
    assert result.pipelines["b"].folder == str(tmp_path / "sub")


def test_a_bad_file_never_hides_the_others(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "good.yaml").write_text(GOOD.format(name="good"))
    (tmp_path / "list.yaml").write_text("- a")
    (tmp_path / "large.yaml").write_bytes(b"- x\n" * 2_500_000)
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")

    result = load_folder(tmp_path, SmallCatalogue(), settings)

    assert list(result.pipelines) == ["good"]
    assert [problem.code for problem in result.problems] == [
        "encoding",
        "unreadable-file",
        "too-large",
        "not-a-mapping",
    ]


def test_a_missing_folder_is_one_problem(tmp_path: Path, settings: Settings) -> None:
    result = load_folder(tmp_path / "pipelnes", SmallCatalogue(), settings)

    assert [problem.code for problem in result.problems] == ["missing-folder"]
    assert "HEADRACE_PIPELINES" in result.problems[0].hint


def test_a_name_used_by_a_file_that_is_invalid_otherwise_counts(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.format(name="same"))
    (tmp_path / "b.yaml").write_text("name: same\n")

    result = load_folder(tmp_path, SmallCatalogue(), settings)

    assert result.pipelines == {}
    assert [problem.code for problem in result.problems].count("duplicate-name") == 2


def test_the_version_is_the_hash_of_the_bytes(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD.format(name="a"))

    pipeline = load_files([path], SmallCatalogue(), settings).pipelines["a"]

    assert pipeline.version == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_partial_retry_is_based_on_the_configuration(tmp_path: Path) -> None:
    base = RetryPolicy(limit=8, jitter=True, intervals_s=(1.0, 2.0))
    settings = Settings(tmp_path, tmp_path, tmp_path, retry=base)
    path = tmp_path / "a.yaml"
    path.write_text(
        "name: a\nsteps:\n  - {id: plain, job: FailedJob}\n"
        "  - {id: limit, job: FailedJob, retry: {limit: 1}}\n"
        "  - {id: delay, job: FailedJob, retry: {delay: 5s}}\n"
    )

    steps = load_files([path], SmallCatalogue(), settings).pipelines["a"].steps

    assert steps[0].retry is None
    assert steps[1].retry == RetryPolicy(limit=1, jitter=True, intervals_s=(1.0, 2.0))
    assert steps[2].retry == RetryPolicy(limit=8, delay_s=5.0, jitter=True)


def test_a_thousand_pipelines_of_five_steps_load(tmp_path: Path, settings: Settings) -> None:
    for number in range(1000):
        text = FIVE_STEPS.format(number=number, minute=number % 60)
        (tmp_path / f"p{number}.yaml").write_text(text)

    result = load_folder(tmp_path, SmallCatalogue(), settings)

    assert result.problems == []
    assert len(result.pipelines) == 1000


def test_a_chain_of_ten_thousand_steps_is_no_cycle_and_its_closing_is_found() -> None:
    chain = {str(n): [str(n - 1)] if n else [] for n in range(10_000)}
    assert list(cycles(chain)) == []

    chain["0"] = ["9999"]
    (cycle,) = cycles(chain)

    assert len(cycle) == 10_001
    assert cycle[0] == cycle[-1] == "0"


def test_every_key_of_the_pipeline_schema_is_described() -> None:
    def missing(part: object, path: str) -> list[str]:
        if not isinstance(part, dict):
            return []
        found = []
        for key, value in part.get("properties", {}).items():
            referred = schema("pipeline")["$defs"].get(value.get("$ref", "")[8:], {})
            if not {**referred, **value}.get("description"):
                found.append(f"{path}.{key}")
        for key, value in part.items():
            found += missing(value, f"{path}.{key}")
        return found

    assert missing(schema("pipeline"), "") == []


STEP = "name: p\nsteps:\n- {id: a, job: J, "
SPOILT = {
    "unknown dependencies": "name: p\nsteps:\n"
    + "".join(f"- {{id: s{n}, job: J, depends_on: [x{n}]}}\n" for n in range(9999)),
    "mixed list": f"{STEP}depends_on: [1,{','.join(f'x{n}' for n in range(90_000))}]}}\n",
    "unknown keys": "name: p\n" + "".join(f"k{n}: 1\n" for n in range(40_000)),
    "duplicate keys": "name: p\n" * 30_000,
    "long template": STEP + 'with: {x: "{{ ' + "1+" * 50_000 + '1 }}"}}\n',
    "deep template": STEP + 'with: {x: "{{ ' + "(" * 50_000 + '"}}\n',
}


@pytest.mark.parametrize("text", SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_file_of_nearly_1_mb_is_told(
    text: str, tmp_path: Path, settings: Settings
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)

    result = load_files([path], SmallCatalogue(), settings)

    assert 0 < len(result.problems) < 1000


def test_a_file_given_twice_does_not_share_its_name_with_itself(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(GOOD.format(name="a"))

    result = load_files([Path("a.yaml"), tmp_path / "a.yaml"], SmallCatalogue(), settings)

    assert result.problems == []


def test_a_file_checked_by_itself_may_run_pipelines_of_the_folder(
    tmp_path: Path, settings: Settings
) -> None:
    parent = tmp_path / "parent.yaml"
    parent.write_text("name: parent\nsteps: [{id: a, pipeline: child}, {id: b, pipeline: chidl}]\n")
    (tmp_path / "child.yaml").write_text(GOOD.format(name="child"))
    (tmp_path / "bad.yaml").write_text("name: bad\n")

    result = load_files([parent], SmallCatalogue(), settings)

    (problem,) = result.problems
    assert (problem.code, problem.hint) == ("unknown-pipeline", 'did you mean "child"?')
    parent.write_text("name: parent\nsteps: [{id: a, pipeline: child}]\n")
    result = load_files([parent], SmallCatalogue(), settings)
    assert result.problems == []
    assert list(result.pipelines) == ["parent"]


def test_a_file_may_name_pipelines_of_the_pipelines_folder_though_it_is_given_alone(
    tmp_path: Path, settings: Settings
) -> None:
    settings.pipelines.mkdir(exist_ok=True)
    (settings.pipelines / "load.yaml").write_text(GOOD.format(name="load"))
    (settings.pipelines / "broken.yaml").write_text("name: broken\nsteps: [")
    after = settings.pipelines / "after.yaml"
    after.write_text("trigger: load\n" + GOOD.format(name="after"))

    result = load_files([after], SmallCatalogue(), settings)

    assert (list(result.pipelines), result.problems) == (["after"], [])
    after.write_text("trigger: laod\n" + GOOD.format(name="after"))
    (problem,) = load_files([after], SmallCatalogue(), settings).problems
    assert (problem.code, problem.hint) == ("unknown-pipeline", 'did you mean "load"?')
    (settings.pipelines / "load.yaml").write_text("trigger: after\n" + GOOD.format(name="load"))
    after.write_text("trigger: load\n" + GOOD.format(name="after"))
    (problem,) = load_files([after], SmallCatalogue(), settings).problems
    assert (problem.code, problem.line) == ("pipeline-cycle", 1)
