"""What the statements of a plan do beyond the table that they name, as its database knows it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from runner.config import Settings
from runner.engine.preview import PreviewedJob
from runner.errors import ConfigError, StoreUnavailable
from runner.store.explain import Explainer, Fault
from runner.template import Preview

_UNKNOWN = "what its database knows of, which does not answer now"


def with_touched(
    previews: Iterable[PreviewedJob], settings: Settings, control_url: Callable[[], str]
) -> Iterator[PreviewedJob]:
    """Yield the same with the notes completed of statements that touch other tables, too.

    Only for those a database is asked, read-only. One that does not answer is no error.
    """
    looking = _Looking(settings, control_url)
    try:
        for one in previews:
            yield replace(one, statements=tuple(map(looking.noted, one.statements)))
    finally:
        looking.close()


class _Looking:
    def __init__(self, settings: Settings, control_url: Callable[[], str]) -> None:
        self._settings = settings
        self._control_url = control_url
        self._open: dict[str | None, Explainer | None] = {}

    def noted(self, one: Preview) -> Preview:
        if one.touches is None:
            return one
        names = self._names(one)
        if names == []:
            return one
        told = f"{one.touching} {_UNKNOWN if names is None else ', '.join(names)}"
        return replace(one, note=f"{one.note}; {told}" if one.note else told)

    def _names(self, one: Preview) -> list[str] | None:
        assert one.touches is not None
        explainer = self._explainer(one.connection)
        if explainer is None:
            return None
        found = explainer.rows(*one.touches.pieces())
        return None if isinstance(found, Fault) else [str(row[0]) for row in found]

    def _explainer(self, connection: str | None) -> Explainer | None:
        if connection not in self._open:
            try:
                urls = self._settings.connections
                url = self._control_url() if connection is None else urls[connection].url
                self._open[connection] = Explainer(url)
            except (KeyError, ConfigError, StoreUnavailable):
                self._open[connection] = None
        return self._open[connection]

    def close(self) -> None:
        for explainer in self._open.values():
            if explainer is not None:
                explainer.close()
