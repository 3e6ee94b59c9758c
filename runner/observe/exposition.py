"""Writes all metrics as Prometheus or OpenMetrics text."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder

from headrace.errors import StoreUnavailable
from headrace.observe.metric_list import METRICS, PREFIX
from headrace.observe.metrics import HeadraceCollector, Queues, Rows
from headrace.observe.pipeline_series import PipelineSeries
from headrace.observe.text_parts import Part, gzipped, joined

_OF_PIPELINES = [name for name, one in METRICS.items() if one.labels[:1] == ("pipeline",)]
_END = "# EOF\n"


@dataclass(frozen=True, slots=True)
class Exposition:
    """An answer: its text, compressed where that was asked for."""

    body: bytes
    content_type: str
    encoding: str | None


class Metrics:
    """The metrics of one process, which keeps what has not changed. Safe to share by threads."""

    def __init__(self, database: Rows, sender: Queues, queues: Sequence[str]) -> None:
        self._collector = HeadraceCollector(database, sender, queues)
        self._series = PipelineSeries(database)
        self._heads: dict[str, Part] = {}
        self._lock = threading.Lock()

    def exposition(self, accept: str = "", accept_encoding: str = "") -> Exposition:
        """Return all metrics in the form that the headers of the request ask for."""
        encode, content_type = choose_encoder(accept)
        is_open = content_type.startswith("application/openmetrics-text")
        text = encode(_Collected(list(self._collector.collect()))).decode()
        parts = [Part(text.removesuffix(_END))]
        with self._lock:
            parts += self._of_pipelines(is_open)
            if is_open:
                parts.append(self._head(_END))
            if accepts_gzip(accept_encoding):
                return Exposition(gzipped(parts), content_type, "gzip")
        return Exposition(joined(parts), content_type, None)

    def _of_pipelines(self, is_open: bool) -> list[Part]:
        try:
            self._series.refresh()
        except StoreUnavailable:
            return []
        return [part for name in _OF_PIPELINES for part in self._family(name, is_open)]

    def _family(self, name: str, is_open: bool) -> Iterator[Part]:
        described = METRICS[name]
        # OpenMetrics names a counter's family without the suffix of its samples.
        family = PREFIX + name if is_open else described.samples[0]
        yield self._head(f"# HELP {family} {described.text}\n# TYPE {family} {described.kind}\n")
        yield from self._series.parts(name)

    def _head(self, text: str) -> Part:
        return self._heads.setdefault(text, Part(text))


class _Collected:
    """Metrics that were collected, in the place of a registry."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """Return them."""
        return self._metrics


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a request takes a compressed answer."""
    for given in accept_encoding.lower().split(","):
        name, _, quality = given.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
