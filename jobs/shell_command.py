"""ShellCommand: a program outside of Headrace."""

import signal
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from jobs.base import BaseJob, logger
from jobs.files import to_read
from jobs.programs import SHELL, run_program
from runner import jobapi
from runner.errors import InvalidPayload, JobFailure

LINES_KEPT = 50
_LINES_TOLD = 10
_LONGEST_KEPT = 500


class ShellCommand(BaseJob):
    """Run a program; `shell_commands: true` in `config.yaml` allows it.

    What it writes goes to the job's log, line by line. An exit code other than 0 fails the job
    with the last lines. The result is `{exit_code, output}`: the last 50 lines, 500 characters
    of each. The program gets the worker's environment with the step's `env`, without Headrace's
    own variables and those that `config.yaml` takes for itself. It ends with the job: at the
    step's timeout, when it is cancelled, or when its worker dies. What it leaves running ends
    with it.

    Parameters:
        command: a list, the program and its arguments; or a text for `/bin/sh`, which holds no
            template: what is put together into a script becomes code. Values go into a list,
            or into `env`, which the text reads as `"$NAME"`.
        cwd: the folder to run in, looked up beside the pipeline and in the pipelines folder.
            Default: the project folder.
    """

    paths: ClassVar = {"cwd": to_read}
    result_keys = ("exit_code", "output")

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
                "a command that is one text cannot hold a template: its value would become code",
                'write a list of arguments, or set a variable in `env` and write "$NAME"',
            )

    def handle(self) -> dict[str, Any]:
        self.rehearse()
        kept: deque[str] = deque(maxlen=LINES_KEPT)

        def each_line(line: str) -> None:
            # Hidden before it is cut: half a secret is one, too.
            kept.append(jobapi.redacted(line)[:_LONGEST_KEPT])
            logger.info("%s", line)

        try:
            code = run_program(
                self._arguments(),
                cwd=self._folder(),
                environ=jobapi.environment_for_programs(),
                each_line=each_line,
            )
        except (OSError, ValueError) as error:
            raise JobFailure(f"the command cannot be started: {error}") from None
        if code != 0:
            last = "\n".join(list(kept)[-_LINES_TOLD:])
            raise JobFailure(f"the command {_how_it_ended(code)}\n{last}".rstrip())
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
            return [SHELL, "-c", self.command]
        return [str(part) for part in self.command]

    def _folder(self) -> Path:
        attempt = jobapi.current()
        if self.cwd is None:
            return attempt.project
        folder = attempt.resolve_path(self.cwd)
        if not folder.is_dir():
            raise JobFailure(f"there is no folder {self.cwd!r}")
        return folder


def _how_it_ended(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
