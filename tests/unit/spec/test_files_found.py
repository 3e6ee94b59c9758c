"""Which files below a pipelines folder are pipelines, and what breaks their lines."""

from pathlib import Path

import pytest

from headrace.declarations.load import pipeline_files
from headrace.declarations.source import parse


def test_linked_folders_are_followed_each_real_one_once(tmp_path: Path):
    root, elsewhere = tmp_path / "pipelines", tmp_path / "shared"
    for folder in (root, elsewhere):
        folder.mkdir()
        (folder / "a.yaml").touch()
    (root / "linked").symlink_to(elsewhere)
    (root / "again").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(root)

    found = pipeline_files(root)

    assert len(found) == 2
    assert {path.resolve() for path in found} == {root / "a.yaml", elsewhere / "a.yaml"}


def test_the_ending_counts_in_any_case(tmp_path: Path):
    for name in ("a.YAML", "b.YML", "c.Yaml", "d.yaml.bak", "_e.YAML"):
        (tmp_path / name).touch()
    assert [path.name for path in pipeline_files(tmp_path)] == ["a.YAML", "b.YML", "c.Yaml"]


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_what_yaml_1_2_takes_for_a_character_breaks_no_line(character: str):
    text = f"a: 'one{character}two'\nb: x{character}y\nc: |\n  l{character}m\n  n\nd: 1\n"
    document = parse(text, "x.yaml")
    assert document.data == {
        "a": f"one{character}two",
        "b": f"x{character}y",
        "c": f"l{character}m\nn\n",
        "d": 1,
    }
    assert document.at(("d",)).line == 6
