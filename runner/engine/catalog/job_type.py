"""A job class as the registry knows it: its parameters, and what it says of itself."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

from headrace.declarations.lint.tables_of_sql import SqlUse
from headrace.engine.catalog.docstrings import meanings_of
from headrace.engine.catalog.type_hints import accepts_decimals, accepts_text_and_numbers
from headrace.model.job_parameters import Parameter, parameters_of
from headrace.template.braces import has_template


class JobType:
    """One job class."""

    def __init__(self, name: str, cls: type) -> None:
        self.name = name
        self.cls = cls

    @property
    def transactional(self) -> bool:
        """Return whether the effect commits with the completion."""
        return bool(getattr(self.cls, "transactional", True))

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        told = (one.__doc__ for one in self.cls.__mro__ if one.__name__ != "BaseJob")
        return inspect.cleandoc(next(filter(None, told))).partition("\n")[0]

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters that `with` may hold, those of the classes above included."""
        return parameters_of(self.cls)

    @cached_property
    def kept_as_text(self) -> Collection[str]:
        """The parameters that take a number for its text: `[sleep, 1.50]`."""
        return [n for n, one in self.parameters.items() if accepts_text_and_numbers(one.type)]

    @cached_property
    def kept_digits(self) -> Collection[str]:
        """The parameters that take a Decimal: every digit of `0.10` counts."""
        return [name for name, one in self.parameters.items() if accepts_decimals(one.type)]

    @cached_property
    def meanings(self) -> dict[str, str]:
        """Return the docstrings' descriptions of the parameters, by their names."""
        return meanings_of(self.cls)

    @cached_property
    def accepts_anything(self) -> bool:
        """Return whether `with` may hold keys that no constructor names."""
        return bool(getattr(self.cls, "any_parameters", False))

    @property
    def connections(self) -> Collection[str]:
        """The parameters that name a connection."""
        return [name for name in self.parameters if _names_a_connection(name)]

    def tables(self, with_: Mapping[str, Any], connection: str | None) -> SqlUse:
        """Return what the class says of tables, as far as they lie in one database."""
        read_by = self._given(with_, "source_connection") or self._given(with_, "connection")
        written_by = self._given(with_, "target_connection") or self._given(with_, "connection")
        reads = self._named("tables_read", with_) if read_by == connection else frozenset()
        if written_by != connection:
            return SqlUse(reads)
        return SqlUse(
            reads,
            self._named("tables_written", with_),
            makes=self._named("tables_made", with_),
        )

    def _named(self, attribute: str, with_: Mapping[str, Any]) -> frozenset[str]:
        said = getattr(self.cls, attribute, ())
        names = (said,) if isinstance(said, str) else said
        values = [name if "." in name else self._given(with_, name) for name in names]
        return frozenset(
            value.lower() for value in values if isinstance(value, str) and not has_template(value)
        )

    def _given(self, with_: Mapping[str, Any], name: str) -> Any:
        known = self.parameters.get(name)
        return with_.get(name, None if known is None else known.default)

    @cached_property
    def faults_of(self) -> Callable[[Mapping[str, Any]], Iterable[Any]] | None:
        """Return the function that finds arguments that the class refuses whatever their type."""
        found: Callable[[Mapping[str, Any]], Iterable[Any]] | None
        found = getattr(self.cls, "faults_of", None)
        return found


def _names_a_connection(name: str) -> bool:
    return name == "connection" or name.endswith("_connection")
