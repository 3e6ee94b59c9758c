"""`headrace show PIPELINE`: the pipeline as it holds, and where each value came from."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.cli.printing import print_json
from headrace.declarations.source import resolve

if TYPE_CHECKING:
    from headrace.declarations.config import Settings
    from headrace.declarations.value_origins import Tree
    from headrace.model.pipeline import Pipeline

# Lines up to this long have their comments in one column.
_COLUMN = 60

_PLAIN = re.compile(r"[A-Za-z0-9_./(][^\x00-\x1f\x7f-\x9f\u2028\u2029:#,\[\]{}\"'`&*!|>%]*")

Line = tuple[str, str]
"""(text, comment)"""


def show_pipeline(name: str, settings: "Settings", as_json: bool) -> None:
    """Print a pipeline whose files are valid; needs no server.

    Raises:
        ProblemsError: Its file is invalid.
        UnknownPipeline: There is none of this name.
    """
    from headrace.declarations.value_origins import resolved
    from headrace.engine.catalog.job_registry import registry_of
    from headrace.engine.catalog.pipeline_catalog import Pipelines

    registry = registry_of(settings)
    pipeline = Pipelines(settings, registry).get(name)
    tree = resolved(Path(pipeline.file), registry, settings)
    if as_json:
        print_json(_json_of(pipeline, tree))
        return
    print(f"# {pipeline.file}, version {pipeline.version[:12]}")
    print("\n".join(yaml_with_comments(tree)))


def _json_of(pipeline: "Pipeline", tree: "Tree") -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "file": pipeline.file,
        "version": pipeline.version,
        "values": _plain_tree(tree),
    }


def _plain_tree(tree: "Tree") -> Any:
    if isinstance(tree, dict):
        return {key: _plain_tree(part) for key, part in tree.items()}
    if isinstance(tree, list):
        return [_plain_tree(part) for part in tree]
    return {"value": tree.value, "origin": tree.origin.as_json()}


def yaml_with_comments(tree: "Tree") -> list[str]:
    """Return the lines of a YAML text with a comment behind each value: where it came from."""
    lines = list(_lines(tree, ""))
    short = [len(text) for text, comment in lines if comment and len(text) <= _COLUMN]
    width = max(short, default=0)
    return [f"{text.ljust(width)}  # {comment}" if comment else text for text, comment in lines]


def _lines(tree: "Tree", indent: str) -> Iterator[Line]:
    if isinstance(tree, dict):
        for key, part in tree.items():
            yield from _entry(f"{indent}{_text(key)}:", part, indent)
    elif isinstance(tree, list):
        for part in tree:
            inner = list(_lines(part, f"{indent}  "))
            (first, comment), *rest = inner
            yield f"{indent}- {first[len(indent) + 2 :]}", comment
            yield from rest
    else:
        yield f"{indent}{_value(tree.value)}", str(tree.origin)


def _entry(key: str, part: "Tree", indent: str) -> Iterator[Line]:
    if isinstance(part, dict | list):
        yield key, ""
        yield from _lines(part, f"{indent}  ")
        return
    comment = str(part.origin)
    if isinstance(part.value, str) and _is_block(part.value):
        ends = part.value.endswith("\n")
        yield f"{key} |" if ends else f"{key} |-", comment
        for line in part.value.removesuffix("\n").split("\n"):
            yield f"{indent}  {line}".rstrip(), ""
        return
    yield f"{key} {_value(part.value)}", comment


def _is_block(text: str) -> bool:
    """Return whether a text can stand in lines of its own, as it is."""
    lines = text.removesuffix("\n").split("\n")
    fit = all(line.isprintable() and line == line.rstrip() for line in lines)
    return len(lines) > 1 and fit and bool(lines[-1]) and bool(lines[0]) and lines[0][0] != " "


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_value(part)}" for key, part in value.items()) + "}"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(text: str) -> str:
    """Return a text as YAML has it: in quotes where it would be read as something else."""
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and len(text) < 1000
    # What a terminal would obey is written out: in quotes only that is YAML of the same text.
    if plain and text.isprintable() and resolve(text) == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
