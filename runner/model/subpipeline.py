"""Steps that run a pipeline: how their jobs differ from those of a class.

Such a job has no class. Its `job_class` is `pipeline NAME`, which no class can be called, and
its payload is what the run's parameters are made of.
"""

_MARK = "pipeline "


def job_class_of(pipeline: str) -> str:
    """Return the `job_class` of a step that runs this pipeline."""
    return f"{_MARK}{pipeline}"


def pipeline_of(job_class: str) -> str | None:
    """Return the pipeline that a job runs, or None where it is a job of a class."""
    return job_class.removeprefix(_MARK) if job_class.startswith(_MARK) else None
