"""The glossary's words mean one thing each: a verb is in public names of its own rooms only."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "glossary.md"
_ENTRY = re.compile(r"^\| ([a-z ,]+) \| (.+) \| ([a-z, ]*)\|$", re.MULTILINE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
# Verbs that had several meanings: each needs an entry, whatever else the page says.
WATCHED = (
    "take", "claim", "release", "complete", "fail", "skip", "cancel", "retry", "reopen", "decide",
    "admit", "finish", "settle", "close", "follow", "restore", "reap", "prune", "send",
)  # fmt: skip
# Names with a verb in another meaning, still to be renamed: the list may only become shorter.
TO_BE_RENAMED = {
    "catalog.pipeline_catalog.restore",
    "gating.gate.close_below",
    "gating.gate.close_failed",
    "gating.run_completion.close",
    "gating.run_completion.follow",
    "observe.joblog.finish",
    "observe.output.finish",
    "observe.output.take_over",
    "store.connection.send_ahead",
    "store.session_state.send",
}


def entries(text: str) -> list[tuple[str, frozenset[str]]]:
    """Each verb with the rooms whose public names may use it; none: all of them."""
    found = []
    for words, _meaning, rooms in _ENTRY.findall(text.partition("## Verbs")[2]):
        allowed = frozenset(room.strip() for room in rooms.split(",") if room.strip())
        found += [(word.strip(), allowed) for word in words.split(",") if word.strip() != "word"]
    return found


def sources() -> dict[str, str]:
    paths = [path for folder in ("runner", "jobs") for path in (ROOT / folder).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in paths
        if "versions" not in path.parts
    }


def public_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.name.startswith("_"):
                yield node.name
            if isinstance(node, ast.ClassDef):
                yield from public_names(node)


def misused(modules: Mapping[str, str], verbs: Mapping[str, frozenset[str]]) -> set[str]:
    """The public names, each with its room and module, that use a verb outside its rooms."""
    found = set()
    for module, text in modules.items():
        *rooms, stem = module.split(".")
        for name in (stem, *public_names(ast.parse(text))):
            words = [word.lower() for word in _WORD.findall(name)]
            for verb in verbs.keys() & set(words):
                if verbs[verb] and not verbs[verb] & {*rooms, stem}:
                    found.add(f"{rooms[-1]}.{stem}.{name}")
    return found


def test_a_verb_is_in_public_names_of_its_own_rooms_only() -> None:
    verbs = dict(entries(PAGE.read_text(encoding="utf-8")))

    found = misused(sources(), verbs)

    assert found == TO_BE_RENAMED


def test_a_word_has_one_entry_and_each_watched_verb_has_one() -> None:
    words = Counter(word for word, _rooms in entries(PAGE.read_text(encoding="utf-8")))

    assert [word for word, count in words.items() if count > 1] == []
    assert set(WATCHED) - words.keys() == set()


def test_a_verb_in_a_foreign_room_is_found() -> None:
    verbs = dict(entries(PAGE.read_text(encoding="utf-8")))
    modules = sources()
    modules["runner.observe.records"] += "\n\ndef release_lock() -> None:\n    pass\n"

    assert "observe.records.release_lock" in misused(modules, verbs)


def test_a_second_entry_for_a_word_is_found() -> None:
    text = PAGE.read_text(encoding="utf-8") + "\n| release | give a lock back | store |\n"

    assert Counter(word for word, _rooms in entries(text))["release"] == 2
