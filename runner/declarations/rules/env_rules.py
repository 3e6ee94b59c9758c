"""Rules for the environment variables of a step."""

from collections.abc import Iterator

from headrace.declarations.draft import Draft, Finding
from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import is_template, references
from headrace.observe.redaction import malformed, referred, why_not_read, why_not_set

_NAMED_HINT = "${NAME} names a variable of the worker; $${ stands for the text ${"


def variables_may_be_set(draft: Draft) -> Iterator[Finding]:
    """A step sets no variable that is Headrace's own, or that decides which code runs."""
    for path, name, _ in draft.variables():
        reason = why_not_set(name)
        if reason:
            message = f'the environment variable "{name}" cannot be set: {reason}'
            yield Finding(path, "reserved-variable", message, _remedy(name), of_key=True)


def _remedy(name: str) -> str:
    return {
        "PATH": "call the program by its full path, or set the worker's PATH",
        "PYTHONPATH": "set it for the worker, or put the module into the project's jobs/",
    }.get(name, "use another name, or set it where the worker is started")


def references_are_names(draft: Draft) -> Iterator[Finding]:
    """A `${…}` in a variable's value is the name of one that jobs may read."""
    for path, _, value in draft.variables():
        if not isinstance(value, str):
            continue
        wrong = malformed(value)
        if wrong is not None:
            message = f"{wrong} does not name an environment variable"
            yield Finding(path, "bad-reference", message, _NAMED_HINT)
        for name in dict.fromkeys(referred(value)):
            reason = why_not_read(name)
            if reason:
                message = f"${{{name}}} cannot be read by a job: {reason}"
                hint = "set another variable for the job in the worker's environment"
                yield Finding(path, "reserved-variable", message, hint)


def defaults_speak_of_no_step(draft: Draft) -> Iterator[Finding]:
    """Variables of all steps hold for the first ones, too."""
    for path, _, value in draft.variables():
        if path[0] == "defaults" and is_template(value):
            yield from _steps_used(path, value)


def folder_templates_are_well_formed(draft: Draft) -> Iterator[Finding]:
    """A template in a _defaults.yaml can be read; which parameters there are, each file says."""
    for path, _, value in draft.variables():
        fault = references(value).fault if is_template(value) else ""
        if fault:
            message = f"this is not a valid template: {fault.rstrip('.')}"
            yield Finding(path, "bad-template", message, "write an expression in {{ }}")


def _steps_used(path: KeyPath, value: str) -> Iterator[Finding]:
    for name in sorted(references(value).steps):
        message = f'a variable of all steps cannot refer to step "{name}"'
        yield Finding(path, "step-not-before", message, "set it in the steps that run after it")
