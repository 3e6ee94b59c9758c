"""Finds the step that creates a relation, so that EXPLAIN does not report it as missing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.declarations.lint.tables_of_sql import SqlUse, uses_of_sql
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.sql_preview import PreviewedJob
from headrace.model.plan import Plan, PlannedJob
from headrace.store.explain import Fault
from headrace.template import Preview, first_word

_UNDEFINED_TABLE = "42P01"
_UNDEFINED_COLUMN = "42703"
# A function, a type or the like, a schema.
_UNDEFINED = ("42883", "42704", "3F000")
_NAME = re.compile(r'(?:relation|type|schema) "([^"]+)"|(?:function|procedure) ([\w.]+)\(')
_MAKING = ("CREATE", "ALTER", "DO", "CALL")


@dataclass(frozen=True, slots=True)
class Maker:
    """The step that makes a missing relation: in `before` as a sentence, else perhaps a hint."""

    before: str = ""
    hint: str = ""


class Made:
    """Knows which tables each job of a plan creates, alters or fills, and in which database."""

    def __init__(
        self, plan: Plan, previews: Mapping[str, PreviewedJob], registry: Registry
    ) -> None:
        self._registry = registry
        self._jobs = {job.step: job for job in plan.jobs}
        self._previews = previews
        self._uses: dict[int, SqlUse] = {}
        self._above: dict[str, frozenset[str]] = {}

    def maker(self, job: PlannedJob, number: int, one: Preview, fault: Fault) -> Maker:
        """Return who makes what a statement, the `number`th of its job, misses."""
        if fault.state not in (_UNDEFINED_TABLE, _UNDEFINED_COLUMN, *_UNDEFINED):
            return Maker()
        names = self._missing(one, fault)
        own = self._previews[job.step].statements[: number - 1]
        if any(self._makes(earlier, names, one.connection) for earlier in own):
            return Maker(f'an earlier statement of step "{job.step}" creates it')
        above = self._ancestors(job)
        for step in self._makers(names, one.connection):
            if step in above:
                return Maker(f'step "{step}" makes it')
        if job.handler is not None:
            return Maker()  # Only handlers are left, and none of them can wait for another one.
        for step in self._makers(names, one.connection):
            if step != job.step and job.step not in self._ancestors(self._jobs[step]):
                return Maker(hint=f'step "{step}" creates it: depends_on: [{step}]')
        return Maker()

    def _missing(self, one: Preview, fault: Fault) -> frozenset[str]:
        if fault.state == _UNDEFINED_COLUMN:
            use = self._use(one)
            return use.reads | use.writes
        found = _NAME.search(fault.message)
        return frozenset({(found[1] or found[2]).lower()}) if found else frozenset()

    def _makers(self, names: frozenset[str], connection: str | None) -> Iterator[str]:
        for step, job in self._jobs.items():
            told = self._previews.get(step)
            statements = told.statements if told is not None else ()
            by_job = self._registry.tables(job.job_class, job.payload, connection).makes
            if _share(by_job, names) or any(
                self._makes(one, names, connection) for one in statements
            ):
                yield step

    def _makes(self, one: Preview, names: frozenset[str], connection: str | None) -> bool:
        if one.connection != connection:
            return False
        if _share(self._use(one).makes, names):
            return True
        text = one.sql.display
        # What sqlglot could read it has told already; a DO block may make anything.
        if first_word(text) not in _MAKING or self._use(one).makes:
            return False
        words = {word.lower() for word in re.findall(r"\w+", text)}
        return any(name.rpartition(".")[2] in words for name in names)

    def _use(self, one: Preview) -> SqlUse:
        if id(one) not in self._uses:
            self._uses[id(one)] = uses_of_sql(one.sql.display)
        return self._uses[id(one)]

    def _ancestors(self, job: PlannedJob) -> frozenset[str]:
        if job.handler is not None:
            return frozenset(step for step, one in self._jobs.items() if one.handler is None)
        if job.step not in self._above:
            found: set[str] = set()
            left = list(job.depends_on)
            while left:
                step = left.pop()
                if step not in found:
                    found.add(step)
                    left += self._jobs[step].depends_on
            self._above[job.step] = frozenset(found)
        return self._above[job.step]


def _share(made: frozenset[str], names: frozenset[str]) -> bool:
    """Return whether one of the names is made; one without its schema fits any."""
    for name in names:
        for table in made:
            one, other = name.rpartition("."), table.rpartition(".")
            if one[2] == other[2] and (one[0] == other[0] or not one[0] or not other[0]):
                return True
    return False
