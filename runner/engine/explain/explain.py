"""Asks PostgreSQL about the statements of pipelines before they run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.explain.missing_relations import Made
from headrace.engine.explain.sql_locations import Places
from headrace.engine.explain.sql_preview import PreviewedJob, preview_sql
from headrace.engine.planning.planner import Planner
from headrace.errors import ConfigError, HeadraceError, InvalidParams, Problem, StoreUnavailable
from headrace.model.connection import PRODUCTS, placed
from headrace.model.pipeline import Pipeline
from headrace.model.plan import Plan, PlannedJob
from headrace.model.status import Trigger
from headrace.store.explain import LARGE_ROWS, Estimate, Explainer, Fault
from headrace.template import Preview, RenderedSql, first_word, makes_table_of_query

_TAKEN = ("SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE")
# What a look may run into without anything being wrong with the statement.
_BUSY = {"57014": "it took longer than 5 s to plan", "55P03": "a lock on its table was not free"}
_EXISTS = "42P07"


@dataclass(frozen=True, slots=True)
class Looked:
    """Result for one statement: explained, skipped, noted or failed; `told` says why.

    `number` counts the statements of a step from 1; 0 stands for all of it.
    """

    pipeline: str
    step: str
    number: int
    outcome: str
    told: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    connection: str | None = None
    cost: float | None = None
    rows: int | None = None


@dataclass(slots=True)
class Explained:
    """All statements, the problems among them, and the databases that did not answer."""

    looked: list[Looked] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)


class Explaining:
    """Has the statements of pipelines explained, each in its own database.

    `control_url` gives the control database's URL, or raises ConfigError where it is not up;
    it is asked once, and only if a statement goes there.
    """

    def __init__(
        self, settings: Settings, registry: Registry, control_url: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._planner = Planner(settings, Pipelines(settings, registry), registry)
        self._control_url = control_url
        self._explainers: dict[str | None, Explainer | None] = {}
        self.found = Explained()

    def pipeline(self, pipeline: Pipeline, params: Mapping[str, Any]) -> None:
        """Explain a valid pipeline; of `params` those count that it declares."""
        places = Places(pipeline)
        declared = {param.name for param in pipeline.params}
        own = {name: value for name, value in params.items() if name in declared}
        try:
            plan = self._planner.plan(pipeline, own, datetime.now(UTC), Trigger.MANUAL)
        except InvalidParams as error:
            reason = f"it cannot be planned without parameters: {error}"
            self.found.looked.append(Looked(pipeline.name, "", 0, "skipped", reason, pipeline.file))
            return
        except HeadraceError as error:
            self.found.problems.append(Problem(pipeline.file, 1, 1, error.code, str(error)))
            return
        self._plan(plan, places)

    def _plan(self, plan: Plan, places: Places) -> None:
        previews = {one.step: one for one in preview_sql(plan, self._settings, self._registry)}
        made = Made(plan, previews, self._registry)
        seen: set[tuple[str, str | None, str]] = set()
        for job in plan.jobs:
            told = previews.get(job.step)
            if told is not None:
                _Job(self, job, told, places, made).look(seen)

    def explainer(self, connection: str | None) -> Explainer | None:
        """Return what asks a database, or None where it does not answer."""
        if connection not in self._explainers:
            self._explainers[connection] = self._connected(connection)
        return self._explainers[connection]

    def _connected(self, connection: str | None) -> Explainer | None:
        known = self._settings.connections
        if (
            connection is not None
            and connection in known
            and known[connection].kind != "postgresql"
        ):
            product = PRODUCTS[known[connection].kind]
            told = f"it is {product}, whose statements are not looked at before they run"
            self.found.unreachable[connection] = told
            return None
        try:
            if connection is None:
                return Explainer(self._control_url())
            return Explainer(placed(known[connection], self._control_url).url)
        except KeyError:
            told = f'no connection is named "{connection}"'
        except (ConfigError, StoreUnavailable) as error:
            told = str(error)
        self.found.unreachable["the control database" if connection is None else connection] = told
        return None

    def close(self) -> None:
        """Close all connections."""
        for explainer in self._explainers.values():
            if explainer is not None:
                explainer.close()


class _Job:
    """The statements of one job."""

    def __init__(
        self, whole: Explaining, job: PlannedJob, told: PreviewedJob, places: Places, made: Made
    ) -> None:
        self._whole = whole
        self._found = whole.found
        self._job = job
        self._told = told
        self._places = places
        self._made = made

    def look(self, seen: set[tuple[str, str | None, str]]) -> None:
        """Look at each statement; one that another item of a foreach shares is left out."""
        if self._told.error is not None:
            self._untold(self._told.error)
        for number, one in enumerate(self._told.statements, 1):
            key = (self._job.step.partition("[")[0], one.connection, one.sql.marked)
            if key not in seen:
                seen.add(key)
                self._found.looked.append(self._looked(number, one))

    def _untold(self, error: str) -> None:
        place = self._places.of(self._job, None)
        if self._told.fatal:
            message = f'step "{self._job.step}": {error}'
            self._found.problems.append(Problem(*place, "bad-sql", message))
            self._found.looked.append(self._new(0, "failed", error, place))
        else:
            told = "its SQL is known when the step starts"
            self._found.looked.append(self._new(0, "skipped", told, place))

    def _looked(self, number: int, one: Preview) -> Looked:
        place = self._places.of(self._job, one)
        target = one.explain or one.sql
        reason = one.unexplained or self._unexplainable(target)
        if reason:
            return self._new(number, "skipped", reason, place, one.connection)
        explainer = self._whole.explainer(one.connection)
        if explainer is None:
            told = "its database does not answer"
            return self._new(number, "skipped", told, place, one.connection)
        answer = explainer.explain(*target.pieces())
        if isinstance(answer, Fault):
            return self._refused(number, one, answer)
        looked = self._new(number, "explained", "", place, one.connection)
        self._hint_at_scans(answer, place)
        return replace(looked, cost=answer.cost, rows=answer.rows)

    def _unexplainable(self, sql: RenderedSql) -> str:
        if self._job.late and any("{{" in str(v) or "{%" in str(v) for v in sql.binds.values()):
            return "its values come from earlier steps"
        if len(sql.statements()) != 1:
            # Only the first one would be explained: the rest would run.
            return "it is not a single statement"
        word = first_word(sql.marked)
        if word in _TAKEN or makes_table_of_query(sql.marked):
            return ""
        return f"EXPLAIN does not take {word or 'it'}"

    def _refused(self, number: int, one: Preview, fault: Fault) -> Looked:
        place = self._places.of(self._job, one, fault.line, fault.word)
        if fault.state in _BUSY or fault.state == _EXISTS:
            told = _BUSY.get(fault.state, fault.message)
            return self._new(number, "skipped", told, place, one.connection)
        maker = self._made.maker(self._job, number, one, fault)
        message = f'step "{self._job.step}": {fault.message}'
        if maker.before:
            told = f"{fault.message} yet; {maker.before}"
            note = f'note: step "{self._job.step}": {told}'
            self._tell(Problem(*place, fault.code, note, severity="note"))
            return self._new(number, "noted", told, place, one.connection)
        self._tell(Problem(*place, fault.code, message, fault.hint or maker.hint))
        return self._new(number, "failed", fault.message, place, one.connection)

    def _hint_at_scans(self, estimate: Estimate, place: tuple[str, int, int]) -> None:
        for table in estimate.scans:
            message = (
                f'step "{self._job.step}": reads all of {table}, over {LARGE_ROWS:,} rows,'
                " and keeps few of them"
            )
            hint = "an index on the columns of its condition may help"
            self._tell(Problem(*place, "seq-scan", message, hint, "warning"))

    def _tell(self, problem: Problem) -> None:
        if not self._places.silenced(self._job, problem):
            self._found.problems.append(problem)

    def _new(
        self,
        number: int,
        outcome: str,
        told: str,
        place: tuple[str, int, int],
        connection: str | None = None,
    ) -> Looked:
        return Looked(
            self._places.pipeline, self._job.step, number, outcome, told, *place, connection
        )
