"""Hooks that note each call as a line of the file that HOOKS_NOTED names."""

import os
from pathlib import Path

from headrace.hooks import AttemptInfo, after_attempt, before_attempt, on_failure


def _note(moment: str, info: AttemptInfo) -> None:
    with Path(os.environ["HOOKS_NOTED"]).open("a", encoding="utf-8") as file:
        file.write(f"{moment} {info.job_id} {info.attempt} {info.status}\n")


@before_attempt
def before(info: AttemptInfo) -> None:
    _note("before", info)


@on_failure
def failure(info: AttemptInfo) -> None:
    _note("failure", info)


@after_attempt
def after(info: AttemptInfo) -> None:
    _note("after", info)
