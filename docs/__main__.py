"""Write the reference pages that the code itself tells: `make docs`.

With `--check` nothing is written; the exit code is 1 where a page is not what the code says.
"""

import argparse
import inspect
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from runner.cli.arguments import parser
from runner.engine.hints import describe
from runner.engine.registry import JobType, Registry

HERE = Path(__file__).parent
_NOTE = "<!-- Written by `make docs` from the code; edit the code instead. -->\n"


def jobs_page() -> str:
    """Return the reference of the built-in jobs."""
    registry = Registry()
    lines = [
        "# Jobs",
        "",
        _NOTE,
        "What a step's `job` may name, with the keys of its `with`. Every job also takes",
        "`connection`: the name of a connection in `config.yaml`, by default the control database.",
        "A job of your own is one file under `jobs/`, or a dotted path into a package of",
        "`job_packages` in `config.yaml`;",
        "`headrace jobs --types` lists all.",
    ]
    for name in registry.names():
        lines += ["", *_job(registry.get(name))]
    return "\n".join(lines) + "\n"


def _job(kind: JobType) -> Iterator[str]:
    text, _, parameters = (inspect.getdoc(kind.cls) or "").partition("\nParameters:\n")
    yield f"## {kind.name}"
    yield ""
    yield text.strip()
    if not kind.transactional:
        yield ""
        yield "Not transactional: it runs at least once, and its effect and its completion are two."
    told = dict(_parameters(textwrap.dedent(parameters)))
    if not told:
        return
    yield ""
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    for name, parameter in kind.parameters.items():
        if name in told:
            default = "required" if parameter.required else f"`{_yaml(parameter.default)}`"
            yield f"| `{name}` | {describe(parameter.type)} | {default} | {told[name]} |"


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and meaning of each parameter that a docstring's section tells."""
    for block in textwrap.dedent(text).split("\n"):
        if block and not block.startswith(" "):
            name, _, meaning = block.partition(":")
            collected = [meaning.strip()]
            yield name.strip(), " ".join(_continued(text, block, collected)).replace("|", "\\|")


def _continued(text: str, first: str, collected: list[str]) -> list[str]:
    rest = text.split(first + "\n", 1)[1] if first + "\n" in text else ""
    for line in rest.split("\n"):
        if not line.startswith(" "):
            break
        collected.append(line.strip())
    return collected


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
        "`.venv/bin/headrace COMMAND`, or `python -m runner COMMAND`.",
        "",
        "Exit codes: 0 fine; 1 what was asked about failed (an invalid pipeline, a failed",
        "run); 2 wrong usage or configuration.",
    ]
    for name, command in _commands(parser()):
        lines += ["", f"## headrace {name}", "", "```", _help(command), "```"]
    return "\n".join(lines) + "\n"


def _commands(whole: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in whole._actions:  # noqa: SLF001 - argparse has no public way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from action.choices.items()


def _help(command: argparse.ArgumentParser) -> str:
    command.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=88)
    return command.format_help().strip()


PAGES = {"reference/jobs.md": jobs_page, "guide/commands.md": commands_page}


def main() -> int:
    """Write or check the pages."""
    options = argparse.ArgumentParser(prog="python -m docs", description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = options.parse_args().check
    stale = [name for name, page in PAGES.items() if _differs(HERE / name, page())]
    for name in stale:
        if check:
            print(f"docs/{name} is not what the code says; run `make docs`", file=sys.stderr)
        else:
            (HERE / name).parent.mkdir(parents=True, exist_ok=True)
            (HERE / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"wrote docs/{name}")
    return 1 if check and stale else 0


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main())
