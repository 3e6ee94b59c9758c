"""Every command with each of its arguments, as users' scripts call them: `commands.txt` has them.

A change of the command line changes that file. `python -m tests.unit.cli.test_commands` prints it.
"""

import argparse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from headrace.cli.arguments import parser


def described() -> Iterator[str]:
    """Yield a line for each command, and below it one for each of its arguments."""
    main = parser()
    yield f"{main.prog}: {main.description} {main.epilog}"
    yield from _arguments(main)
    (group,) = (one for one in main._actions if isinstance(one, argparse._SubParsersAction))
    texts = {one.dest: one.help for one in group._choices_actions}
    for name, command in group.choices.items():
        yield f"{command.prog} -> {command.get_default('command')}: {texts[name]}"
        assert command.description == f"{(texts[name] or '')[0].upper()}{(texts[name] or '')[1:]}."
        yield from _arguments(command)


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    for one in command._actions:
        if not isinstance(one, argparse._HelpAction | argparse._SubParsersAction):
            yield "  " + ", ".join(_shown(one)) + (f": {one.help}" if one.help else "")


def _shown(one: argparse.Action) -> Iterator[str]:
    yield f"{' '.join(one.option_strings) or 'argument'} -> {one.dest}"
    for name in ("metavar", "nargs", "const", "default"):
        value = getattr(one, name)
        if value is not None and (name, value) != ("nargs", 0):
            yield f"{name} {value!r}"
    if one.type is not None:
        yield f"takes {' '.join(_taken(one))}"
    if one.choices is not None:
        yield f"one of {' '.join(one.choices)}"
    if one.required and one.option_strings:
        yield "required"
    if isinstance(one, argparse._AppendAction):
        yield "repeated"


def _taken(one: argparse.Action) -> Iterator[str]:
    assert callable(one.type)
    for text in ("-1", "0", "0.5", "1"):
        with suppress(argparse.ArgumentTypeError):
            yield repr(one.type(text))


def test_every_command_has_the_arguments_that_the_list_has():
    listed = Path(__file__).with_name("commands.txt").read_text(encoding="utf-8").splitlines()

    assert list(described()) == listed


if __name__ == "__main__":
    print("\n".join(described()))
