"""The metrics that exist for each pipeline, as text that is kept until it changes.

With ten thousand pipelines these are more than a hundred thousand lines. They are written in
blocks of some hundred pipelines, and only blocks with a pipeline whose numbers have changed are
written, and compressed, anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from headrace.observe.metric_list import METRICS, Described
from headrace.observe.metrics import Rows
from headrace.observe.text_parts import Part

_BLOCK = 256
# In the order of the arrays of `headrace.pipeline_total`.
STATUSES = ("completed", "failed", "cancelled", "skipped")
_NONE = (0,) * len(STATUSES)


class PipelineSeries:
    """The series of all pipelines that are declared or have ended jobs. Not safe for threads."""

    def __init__(self, database: Rows) -> None:
        self._database = database
        self._after = -1
        self._jobs: dict[str, Sequence[int]] = {}
        self._runs: dict[str, Sequence[int]] = {}
        self._unusual: Mapping[str, Mapping[str, Any]] = {}
        self._declared: Sequence[str] = ()
        self._names: list[str] = []
        self._labels: dict[str, str] = {}
        self._place: dict[str, int] = {}
        self._kept: dict[tuple[str, int], Part] = {}

    def refresh(self) -> None:
        """Read what has changed since the last time.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; what was read before is kept.
        """
        declared = self._database.rows("declared_pipelines")[0]["names"]
        unusual = {row["pipeline"]: row for row in self._database.rows("unusual_schedules")}
        rows = self._database.rows("changed_pipeline_totals", after=self._after)
        changed = {row["pipeline"] for row in rows}
        for row in rows:
            self._jobs[row["pipeline"]] = row["jobs"]
            self._runs[row["pipeline"]] = row["runs"]
            self._after = max(self._after, row["number"])
        shown, self._unusual = {**unusual, **self._unusual}, unusual
        if declared != self._declared or not changed <= self._place.keys():
            self._arrange(declared)
        self._drop(changed, ("jobs_finished", "runs_finished"))
        self._drop(shown, ("schedule_skipped", "schedule_overdue_seconds", "schedule_paused"))

    def parts(self, family: str) -> Iterator[Part]:
        """Yield the lines of one family, in blocks."""
        described = METRICS[family]
        for number in range(0, len(self._names), _BLOCK):
            key = family, number
            if key not in self._kept:
                names = self._names[number : number + _BLOCK]
                self._kept[key] = Part("".join(map(self._writer(described), names)))
            yield self._kept[key]

    def _writer(self, described: Described) -> Callable[[str], str]:
        name = described.samples[0]
        if described.name == "jobs_finished":
            return lambda pipeline: self._counts(name, self._jobs, pipeline)
        if described.name == "runs_finished":
            return lambda pipeline: self._counts(name, self._runs, pipeline)
        column = {"schedule_skipped": "skipped", "schedule_paused": "paused"}.get(
            described.name, "overdue_s"
        )
        return lambda pipeline: self._scheduled(name, column, pipeline)

    def _counts(self, name: str, totals: Mapping[str, Sequence[int]], pipeline: str) -> str:
        label = self._labels[pipeline]
        return "".join(
            f'{name}{{pipeline="{label}",status="{status}"}} {count}.0\n'
            for status, count in zip(STATUSES, totals.get(pipeline, _NONE), strict=True)
        )

    def _scheduled(self, name: str, column: str, pipeline: str) -> str:
        row = self._unusual.get(pipeline)
        value = 0.0 if row is None else float(row[column])
        return f'{name}{{pipeline="{self._labels[pipeline]}"}} {value}\n'

    def _arrange(self, declared: Sequence[str]) -> None:
        """Put the pipelines in order; all blocks are written anew."""
        self._declared = declared
        self._names = sorted({*declared, *self._jobs, ""})
        self._labels = {name: _escaped(name) for name in self._names}
        self._place = {name: place // _BLOCK for place, name in enumerate(self._names)}
        self._kept.clear()

    def _drop(self, pipelines: Iterable[str], families: Sequence[str]) -> None:
        # One that is declared no more, and has never run, has no lines.
        for number in {self._place[name] for name in pipelines if name in self._place}:
            for family in families:
                self._kept.pop((family, number * _BLOCK), None)


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
