"""ShellCommand: a program outside of Headrace."""

import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.shortened import shortened
from headrace.jobs.base import BaseJob
from headrace.jobs.files.atomic_files import to_read
from headrace.jobs.programs.child_program import SHELL, run_program

LINES_KEPT = 50
_LINES_TOLD = 10
_LONGEST_KEPT = 500
_SIGNALLED = 128


# Says which command has ended the script: a pipe's last one stands for it, with all exit codes.
_TELL = (
    '__headrace_tell() { case $- in *e*) case $2 in *" "*)'
    ' set -- "$1 (of the commands in the pipe: $2)" "" "$3" "$4";; esac;'
    """ printf 'line %s: %s: exit code %s\\n' "$3" "${4%%$'\\n'*}" "$1" >&2;; esac; };"""
    """ trap '__headrace_tell "$?" "${PIPESTATUS[*]}" "$LINENO" "$BASH_COMMAND"' ERR; """
)


class ShellCommand(BaseJob):
    """Run a program; `shell_commands: true` in `config.yaml` allows it.

    Its output goes to the job's log, line by line. An exit code other than 0 fails the job with
    the last lines. The result is `{exit_code, output}`: the last 50 lines, 500 characters of
    each. The program gets the worker's environment with the step's `env`, without Headrace's own
    variables and those that `config.yaml` takes for itself. It ends with the job: at the step's
    timeout, when it is cancelled, or when its worker dies. It then gets SIGTERM, and SIGKILL
    after `kill_after`. Processes that it leaves running are ended, too.

    Parameters:
        command: a list, the program and its arguments; or a text, a script for `/bin/sh` under
            `set -euo pipefail`: it fails with its first command that fails, also in a pipe, and
            at a variable that is not set. The error has its line and text. The script must not
            contain a template, because values in it would become code. Pass values in a list, or
            by `env`, which the script reads as `"$NAME"`.
        cwd: the folder to run in, searched beside the pipeline, in the pipelines folder and in
            the output folders. Default: the project folder.
    """

    paths: ClassVar = {"cwd": to_read}
    result_keys: ClassVar = {"exit_code": int, "output": str}

    transactional = False

    def __init__(
        self, command: str | list[str | int | float], cwd: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not command or (isinstance(command, str) and not command.strip()):
            raise InvalidPayload("command is empty")
        self.command = command
        self.cwd = cwd

    @classmethod
    def faults_of(cls, with_: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Yield the key, message and hint of each argument that is refused."""
        command = with_.get("command")
        if isinstance(command, str) and any(mark in command for mark in ("{{", "{%", "{#")):
            yield (
                "command",
                "a command that is one text cannot contain a template: its value would become code",
                'write a list of arguments, or set a variable in `env` and write "$NAME"',
            )

    def handle(self) -> dict[str, Any]:
        self.rehearse()
        last: deque[bytes] = deque(maxlen=LINES_KEPT)
        # Here: the thread that reads is in no attempt.
        say = jobapi.current().say

        def each_lines(lines: Sequence[bytes]) -> None:
            last.extend(lines[-LINES_KEPT:])
            say(lines)

        try:
            code = run_program(
                self._arguments(),
                cwd=self._folder(),
                environ=jobapi.environment_for_programs(),
                each_lines=each_lines,
            )
        except (OSError, ValueError) as error:
            raise JobFailure(f"the command cannot be started: {error}") from None
        kept = [_kept(line) for line in last]
        if code != 0:
            told = "\n".join(kept[-_LINES_TOLD:])
            raise JobFailure(f"the command {_how_it_ended(code)}\n{told}".rstrip())
        return {"exit_code": code, "output": "\n".join(kept)}

    def rehearse(self) -> None:
        if not jobapi.current().permissions.shell_commands:
            raise InvalidPayload(
                "ShellCommand is switched off: shell_commands: true in config.yaml allows jobs"
                " to start programs"
            )
        self._folder()

    def _arguments(self) -> list[str]:
        if isinstance(self.command, str):
            shell, told = _script_shell()
            return [*shell, told + self.command]
        return [str(part) for part in self.command]

    def _folder(self) -> Path:
        attempt = jobapi.current()
        if self.cwd is None:
            return attempt.project
        folder = attempt.resolve_path(self.cwd)
        if not folder.is_dir():
            raise JobFailure(f"there is no folder {self.cwd!r}")
        return folder


@cache
def _script_shell() -> tuple[tuple[str, ...], str]:
    """Return what runs a script that ends at the first command that fails, in a pipe, too.

    With it comes what stands before the script, on its first line. Of the shells that `/bin/sh` may
    be, some (dash) do not know `pipefail`, or what has failed: bash in its place.
    """
    fallback: tuple[tuple[str, ...], str] | None = None
    for shell in (("/bin/sh",), ("/bin/bash", "--posix"), ("/usr/bin/bash", "--posix")):
        strict = (*shell, "-eu", "-o", "pipefail", "-c")
        if _works(strict, ":"):
            if _works((*shell, "-E", *strict[len(shell) :]), f"{_TELL}:"):
                return (*shell, "-E", *strict[len(shell) :]), _TELL
            fallback = fallback or (strict, "")
    return fallback or ((SHELL, "-eu", "-c"), "")


def _works(shell: Sequence[str], script: str) -> bool:
    with suppress(OSError):
        done = subprocess.run([*shell, script], capture_output=True, check=False)
        return done.returncode == 0 and not done.stderr
    return False


def _kept(line: bytes) -> str:
    text = line.decode("utf-8", "replace").replace("\0", "\ufffd")
    # Hidden before it is cut: half a secret is one, too.
    return shortened(jobapi.redacted(text), _LONGEST_KEPT)


def _how_it_ended(code: int) -> str:
    if code > _SIGNALLED:
        # As a shell tells of a program of its script.
        with suppress(ValueError):
            name = signal.Signals(code - _SIGNALLED).name
            return f"ended with exit code {code} (a program in it was ended by {name})"
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
