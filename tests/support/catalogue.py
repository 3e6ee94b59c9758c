"""A small catalogue of job classes, real but for its classes' bodies."""

from collections.abc import Collection, Mapping
from typing import Any

from headrace.declarations.lint.tables_of_sql import SqlUse
from headrace.errors.suggestions import did_you_mean
from headrace.model.job_parameters import Finding

# Job → its parameters with the types they take; those in `_REQUIRED` have no default.
_JOBS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "LoadFile": {"path": str, "table": str},
    "DataAggregation": {
        "table": str,
        "group_by": str,
        "sort_by": str,
        "sort_order": str,
        "aggregates": dict,
        "into": str,
    },
    "TruncateTable": {"table": str},
    "RunSql": {"sql": str, "sql_path": str, "params": dict, "transaction": bool},
    "SlowQuery": {"duration": (int, float)},
    "FailedJob": {},
}
_REQUIRED = {
    "LoadFile": ("path", "table"),
    "DataAggregation": ("table", "group_by"),
    "TruncateTable": ("table",),
    "SlowQuery": ("duration",),
}


class SmallCatalogue:
    """Job classes for tests that need none to run."""

    def names(self) -> Collection[str]:
        return sorted(_JOBS)

    def check(self, job: str, with_: Mapping[str, Any]) -> list[Finding]:
        if job not in _JOBS:
            return [((), "unknown-job", f'unknown job "{job}"', "")]
        takes = {**_JOBS[job], "connection": str}
        faults: list[Finding] = []
        for key, value in with_.items():
            if key not in takes:
                hint = did_you_mean(key, takes, listed_as="it takes")
                faults.append(((key,), "unknown-parameter", f'{job} takes no "{key}"', hint))
            elif not isinstance(value, takes[key]) and not isinstance(value, str):
                faults.append(
                    ((key,), "wrong-type", f'"{key}" of {job} has the wrong type', "see its docs")
                )
        faults += [
            ((), "missing-parameter", f'{job} needs "{key}"', f"add {key}: …")
            for key in _REQUIRED.get(job, ())
            if key not in with_
        ]
        return faults

    def result_keys(self, _job: str) -> Collection[str] | Mapping[str, type] | None:
        return None

    def kept_as_text(self, _job: str) -> Collection[str]:
        return ()

    def kept_digits(self, _job: str) -> Collection[str]:
        return ()

    def tables(self, _job: str, _with: Mapping[str, Any], _connection: str | None) -> SqlUse:
        return SqlUse()
