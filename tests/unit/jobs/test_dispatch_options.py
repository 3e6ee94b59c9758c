"""The options of a dispatch are said once; the method that users call takes the same."""

import inspect

from headrace import BaseJob
from headrace.jobapi import DispatchOptions


def test_a_job_class_takes_every_option_of_a_dispatch() -> None:
    parameters = inspect.signature(BaseJob.dispatch).parameters

    assert set(parameters) - {"with_"} == DispatchOptions.__optional_keys__
