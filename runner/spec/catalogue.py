"""Facts about job classes for the loader, which imports none of them."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol


class Catalogue(Protocol):
    """The job classes that a step may name."""

    def names(self) -> Collection[str]:
        """Return the names of all job classes."""

    def check(self, job: str, with_: Mapping[str, Any]) -> list[tuple[str | None, str, str, str]]:
        """Return what is wrong with a step's job and its arguments.

        Each is (the offending key of `with` or None, code, message, hint) with a code of
        unknown-job, unknown-parameter, missing-parameter, wrong-type or refused-value.
        """

    def result_keys(self, job: str) -> Collection[str] | Mapping[str, type] | None:
        """Return the keys that a job's result can have, None where they are not known.

        A mapping tells the types of their values, too.
        """

    def kept_as_text(self, job: str) -> Collection[str]:
        """Return the arguments of a job in which a number stands for its text."""
