"""Whatever is done to a file: it loads, or each problem has its place and a hint."""

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.one_file import load_text
from headrace.model.connection import NamedConnection
from tests.support.catalogue import SmallCatalogue
from tests.support.generated import Seeds

VALID = sorted((Path(__file__).parents[2] / "conformance" / "valid").glob("*.yaml"))
SNIPPETS = (
    *("\t", ":", ": ", "- ", "[", "]", "{", "}", '"', "'", "*", "&a ", "!x ", "#", "|", ">", "%"),
    *("null", "true", "no", "-1", "1e999", ".nan", "{}", "[]", "2024-02-30", "{{", "}}", "{%"),
    *("\x00", "é", "\u2028", "\ufeff", "<<: *a", "? ", "---\n", "...\n", "{{ params.x }}", "5m"),
)


def edited(text: str, rng: random.Random) -> str:
    """Return the text with one to three typos, deletions, moves or wrong values in it."""
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        at, line = rng.randrange(len(text) + 1), rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                text = text[:at] + text[at + rng.randint(1, 8) :]
            case 1:
                text = text[:at] + rng.choice(SNIPPETS) + text[at:]
            case 2:
                text = "\n".join(lines[:line] + lines[line + 1 :])
            case 3:
                text = "\n".join([*lines[: line + 1], *lines[line:]])
            case 4:
                key, colon, _ = lines[line].partition(":")
                lines[line] = f"{key}{colon} {rng.choice(SNIPPETS)}"
                text = "\n".join(lines)
            case _:
                indent = " " * rng.randint(0, 3)
                text = "\n".join([*lines[:line], indent + lines[line], *lines[line + 1 :]])
    return text


@pytest.mark.generated
@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_random_edit_loads_or_gives_its_place(path: Path, tmp_path: Path, seeds: Seeds) -> None:
    settings = Settings(
        tmp_path, tmp_path, tmp_path, connections={"warehouse": NamedConnection("postgresql://h/d")}
    )
    text = path.read_bytes().decode()
    for seed in seeds(30):
        content = edited(text, random.Random(f"{path.stem} {seed}")).encode()

        loaded = load_text(content, tmp_path / "edited.yaml", SmallCatalogue(), settings)

        if loaded.pipeline is not None:
            json.dumps(asdict(loaded.pipeline), allow_nan=False, default=str).encode()
        else:
            assert loaded.problems
        for problem in loaded.problems:
            assert problem.line and problem.column and problem.hint, (seed, str(problem))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"[]", '"schedule" is empty'),
        (b"[0 1 * * *, []]", "schedule 2 takes text or a mapping, not a list"),
    ],
)
def test_a_schedule_that_is_none_has_a_remedy(tmp_path: Path, written: bytes, message: str) -> None:
    """Found by `make fuzz`: edits that leave the key and take what it holds."""
    settings = Settings(tmp_path, tmp_path, tmp_path)
    text = b"name: p\nschedule: " + written + b"\nsteps:\n  - {id: a, job: Noop}\n"

    problems = load_text(text, tmp_path / "edited.yaml", SmallCatalogue(), settings).problems

    assert message in [one.message for one in problems]
    assert all(one.hint for one in problems)
