"""Generates the reference pages from the code: `make docs`.

With `--check` nothing is written; the exit code is 1 if a page does not match the code.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from headrace.cli.arguments import parser
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_type import JobType
from headrace.engine.catalog.type_hints import describe
from headrace.model.buckets import BOUNDS_S
from headrace.observe.metric_list import METRICS
from headrace.template.sandbox import METHODS

HERE = Path(__file__).parent
_NOTE = "<!-- Written by `make docs` from the code; edit the code instead. -->\n"


def jobs_page() -> str:
    """Return the reference of the built-in jobs."""
    registry = Registry()
    lines = [
        "# Jobs",
        "",
        _NOTE,
        "The built-in jobs for a step's `job`, with the keys of its `with`. Every job also takes",
        "`connection`: the name of a connection in `config.yaml`, by default the control database.",
        "Your own job is one file under `jobs/`, or a dotted path into a package of `job_packages`",
        "in `config.yaml`; `headrace jobs --types` lists all jobs.",
    ]
    for name in registry.names():
        lines += ["", *_job(registry.get(name))]
    return "\n".join(lines) + "\n"


def _job(kind: JobType) -> Iterator[str]:
    text = (inspect.getdoc(kind.cls) or "").partition("\nParameters:\n")[0]
    yield f"## {kind.name}"
    yield ""
    yield text.strip()
    if not kind.transactional:
        yield ""
        yield "Not transactional: it runs at least once; effect and completion are separate."
    told = {name: meaning.replace("|", "\\|") for name, meaning in kind.meanings.items()}
    told.pop("connection", None)  # The page describes it once for all jobs.
    if not told:
        return
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, parameter in kind.parameters.items():
        if name in told:
            default = "required" if parameter.required else f"`{_yaml(parameter.default)}`"
            yield f"| `{name}` | {describe(parameter.type)} | {default} | {told[name]} |"


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)


def commands_page() -> str:
    """Return the reference of the command line."""
    lines = [
        "# Commands",
        "",
        _NOTE,
        "`.venv/bin/headrace COMMAND`, or `python -m headrace COMMAND`.",
        "",
        "Exit codes: 0 success; 1 failure (an invalid pipeline, a failed run);",
        "2 wrong usage or configuration.",
    ]
    for name, command in _commands(parser()):
        lines += ["", f"## headrace {name}", "", "```", _help(command), "```"]
    return "\n".join(lines) + "\n"


def templates_page() -> str:
    """Return the reference of templates: the handwritten page, with the tables from the code."""
    text = (HERE / "reference/templates.md").read_text(encoding="utf-8")
    tables = {
        "results": ("job", "keys of `steps.ID.result`", _results()),
        "methods": ("type", "methods", _methods()),
    }
    for name, (first, second, rows) in tables.items():
        lines = [f"| {first} | {second} |", "|---|---|", *rows]
        begin = f"<!-- {name}: written by `make docs` from the code -->\n"
        head, _, rest = text.partition(begin)
        after = rest.partition("<!-- end -->")[2]
        text = "".join((head, begin, "\n".join(lines), "\n<!-- end -->", after))
    return text


def _results() -> Iterator[str]:
    registry = Registry()
    for name in registry.names():
        keys = registry.result_keys(name)
        if keys is not None:
            yield f"| `{name}` | {', '.join(f'`{key}`' for key in keys)} |"


def _methods() -> Iterator[str]:
    words = {"str": "string", "dict": "mapping", "list": "list", "date": "date"}
    words |= {"datetime": "time", "time": "time of day", "timedelta": "timedelta"}
    for kind, names in METHODS.items():
        if kind is not tuple:
            yield f"| {words[kind.__name__]} | {', '.join(f'`{one}`' for one in sorted(names))} |"


def _commands(whole: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in whole._actions:  # noqa: SLF001 - argparse has no public way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from action.choices.items()


def _help(command: argparse.ArgumentParser) -> str:
    command.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=88)
    return command.format_help().strip()


def metrics_page() -> str:
    """Return the reference of the metrics."""
    lines = [
        "# Metrics",
        "",
        _NOTE,
        "What `/metrics` answers, as Prometheus' text or, if a request's `Accept` asks for it, as",
        "OpenMetrics. [Watching](../guide/watching.md) says how they are counted and what to",
        "alert on.",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for one in METRICS.values():
        name = one.samples[0].removesuffix("_bucket")
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{name}` | {one.kind} | {labels} | {one.text} |")
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS_S)
    lines += ["", f"The buckets of histograms end at {bounds} seconds; the last has no bound."]
    return "\n".join(lines) + "\n"


PAGES = {
    "reference/metrics.md": metrics_page,
    "reference/jobs.md": jobs_page,
    "reference/templates.md": templates_page,
    "guide/commands.md": commands_page,
}


def main() -> int:
    """Write or check the pages."""
    options = argparse.ArgumentParser(prog="python -m docs", description=__doc__)
    options.add_argument(
        "--check", action="store_true", help="write nothing, report the differences"
    )
    check = options.parse_args().check
    stale = [name for name, page in PAGES.items() if _differs(HERE / name, page())]
    for name in stale:
        if check:
            print(f"docs/{name} does not match the code; run `make docs`", file=sys.stderr)
        else:
            (HERE / name).parent.mkdir(parents=True, exist_ok=True)
            (HERE / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"wrote docs/{name}")
    return 1 if check and stale else 0


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main())
