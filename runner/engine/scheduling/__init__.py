"""Starts runs: by schedule, by the end of other pipelines, for steps that run one."""
