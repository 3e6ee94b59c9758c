"""Facts about job classes for the loader, which imports none of them."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from headrace.declarations.lint.tables_of_sql import SqlUse
from headrace.model.job_parameters import Finding


class Catalogue(Protocol):
    """The job classes that a step may name."""

    def names(self) -> Collection[str]:
        """Return the names of all job classes."""

    def check(self, job: str, with_: Mapping[str, Any]) -> list[Finding]:
        """Return what is wrong with a step's job and its arguments.

        Its codes are unknown-job, unknown-parameter, missing-parameter, wrong-type and
        refused-value.
        """

    def result_keys(self, job: str) -> Collection[str] | Mapping[str, type] | None:
        """Return the keys that a job's result can have, None where they are not known.

        A mapping gives the types of their values, too.
        """

    def kept_as_text(self, job: str) -> Collection[str]:
        """Return the arguments of a job in which a number stands for its text."""

    def kept_digits(self, job: str) -> Collection[str]:
        """Return the arguments of a job in which a number keeps digits that no float has."""

    def tables(self, job: str, with_: Mapping[str, Any], connection: str | None) -> SqlUse:
        """Return what a job does to tables of one database beside its SQL, as its class says."""
