"""The glossary's words mean one thing each: a verb is in public names of its own rooms only."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from headrace.model.status import JobStatus, RunStatus

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "glossary.md"
_ENTRY = re.compile(r"^\| ([a-z ,]+) \| (.+) \| ([a-z, ]*)\|$", re.MULTILINE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_STATEMENT = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
# Verbs that had several meanings: each needs an entry, whatever else the page says, and is found
# in each of its forms.
WATCHED = (
    "take", "claim", "release", "complete", "fail", "skip", "cancel", "retry", "reopen", "decide",
    "admit", "finish", "settle", "close", "follow", "restore", "reap", "prune", "send", "trigger",
    "render", "assign",
)  # fmt: skip
IRREGULAR = {"take": ("took", "taken"), "send": ("sent",)}
# A job's or run's state, as its columns and metrics have it, is no verb.
STATES = {*map(str, JobStatus), *map(str, RunStatus), "finished"}
# What a library calls by this name.
OVERRIDDEN = {"web.json_rows.render"}


def entries(text: str) -> list[tuple[str, frozenset[str]]]:
    """Each verb with the rooms whose public names may use it; none: all of them."""
    found = []
    for words, _meaning, rooms in _ENTRY.findall(text.partition("## Verbs")[2]):
        allowed = frozenset(room.strip() for room in rooms.split(",") if room.strip())
        found += [(word.strip(), allowed) for word in words.split(",") if word.strip() != "word"]
    return found


def forms(verb: str) -> set[str]:
    """The verb as names may have it, its other forms where it is watched."""
    if verb not in WATCHED:
        return {verb}
    short = verb.removesuffix("e")
    doubled = f"{verb}{verb[-1]}"
    found = {f"{verb}s", f"{short}ed", f"{short}ing", f"{doubled}ed", f"{doubled}ing"}
    if verb.endswith("y"):
        found |= {f"{verb[:-1]}ies", f"{verb[:-1]}ied"}
    return ({verb, *found, *IRREGULAR.get(verb, ())}) - STATES


def sources() -> dict[str, str]:
    paths = [path for folder in ("runner", "jobs") for path in (ROOT / folder).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in paths
        if "versions" not in path.parts
    }


def statements() -> dict[str, set[str]]:
    """The SQL statements by their files, as modules of the room that holds them."""
    found = {}
    for path in (ROOT / "runner" / "store" / "sql").glob("*.sql"):
        names = _STATEMENT.findall(path.read_text(encoding="utf-8"))
        found[f"runner.store.sql.{path.stem}"] = {path.stem, *names}
    return found


def public_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.name.startswith("_"):
                yield node.name
            if isinstance(node, ast.ClassDef):
                yield from public_names(node)


@cache
def public_names_in(text: str) -> frozenset[str]:
    return frozenset(public_names(ast.parse(text)))


def named(modules: Mapping[str, str]) -> dict[str, set[str]]:
    return {
        module: {module.rpartition(".")[2], *public_names_in(text)}
        for module, text in modules.items()
    }


def misused(names: Mapping[str, set[str]], verbs: Mapping[str, frozenset[str]]) -> set[str]:
    """The public names, each with its room and module, that use a verb outside its rooms."""
    found = set()
    for module, own in names.items():
        *rooms, stem = module.split(".")
        foreign = {verb for verb in verbs if verbs[verb] and not verbs[verb] & {*rooms, stem}}
        words = {form for verb in foreign for form in forms(verb)}
        for name in own:
            said = [word.lower() for word in _WORD.findall(name)]
            said += [" ".join(pair) for pair in pairwise(said)]
            if words & set(said):
                found.add(f"{rooms[-1]}.{stem}.{name}")
    return found - OVERRIDDEN


def test_a_verb_is_in_public_names_of_its_own_rooms_only() -> None:
    verbs = dict(entries(PAGE.read_text(encoding="utf-8")))

    assert misused(named(sources()), verbs) == set()


def test_a_verb_is_in_statements_of_its_own_rooms_only() -> None:
    verbs = dict(entries(PAGE.read_text(encoding="utf-8")))

    assert misused(statements(), verbs) == set()


def test_a_word_has_one_entry_and_each_watched_verb_has_one() -> None:
    words = Counter(word for word, _rooms in entries(PAGE.read_text(encoding="utf-8")))

    assert [word for word, count in words.items() if count > 1] == []
    assert set(WATCHED) - words.keys() == set()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("runner.observe.records", "release_lock"),
        ("runner.web.heads", "closing_time"),
        ("runner.store.connect", "take_lock"),
        ("runner.engine.gating.pools", "settled"),
        ("runner.queue.sender", "render_message"),
        ("runner.queue.connect", "retries"),
        ("runner.queue.keys", "trigger_sweep"),
        ("runner.plan.params", "give_back"),
    ],
)
def test_a_verb_in_a_foreign_room_is_found(module: str, name: str) -> None:
    verbs = dict(entries(PAGE.read_text(encoding="utf-8")))
    modules = sources()
    modules[module] += f"\n\ndef {name}() -> None:\n    pass\n"

    *_rooms, room, stem = module.split(".")
    assert misused(named(modules), verbs) == {f"{room}.{stem}.{name}"}


def test_a_verb_in_a_statement_that_is_none_of_the_stores_is_found() -> None:
    verbs = dict(entries(PAGE.read_text(encoding="utf-8")))
    found = {"runner.store.sql.pool": {"pool", "take_slots"}}

    assert misused(found, verbs) == {"sql.pool.take_slots"}


def test_a_second_entry_for_a_word_is_found() -> None:
    text = PAGE.read_text(encoding="utf-8") + "\n| release | give a lock back | store |\n"

    assert Counter(word for word, _rooms in entries(text))["release"] == 2
