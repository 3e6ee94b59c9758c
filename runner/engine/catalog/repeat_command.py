"""The command that runs a pipeline as it is now for an instant that has had its run."""

import json
import shlex
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.model.moments import clock_of

# Who starts these may have given parameters; those of a scheduled run are the pipeline's own.
_GIVEN = ("manual", "api", "pipeline")


def line_for(pipelines: Pipelines, run: Mapping[str, Any]) -> str:
    """Return the line `headrace run …` with a run's logical date and what it was given."""
    declared = pipelines.by_name.get(run["pipeline"])
    zone = ZoneInfo(clock_of(declared) if declared is not None else "UTC")
    at = run["logical_date"].astimezone(zone).isoformat()
    words = ["headrace", "run", run["pipeline"], "--logical-date", at]
    for name, value in (run["params"] or {}).items() if run["trigger"] in _GIVEN else ():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            words += ["-p", f"{name}={text}"]
    return shlex.join(words)
