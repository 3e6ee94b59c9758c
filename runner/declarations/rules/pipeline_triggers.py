"""Rules for a trigger within its file; see `trigger_links` for those across files."""

from collections.abc import Iterator

from headrace.declarations.draft import Draft, Finding
from headrace.declarations.param_values import param_fault
from headrace.declarations.rules import template_names
from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import is_template, references, scalars
from headrace.errors.suggestions import did_you_mean
from headrace.template.checking import check_value

# What templates may read of an upstream run.
READABLE = ("params", "logical_date", "status", "run")

_WITH: KeyPath = ("trigger", "with")


def triggers_are_others(draft: Draft) -> Iterator[Finding]:
    """A pipeline does not start itself."""
    for path, name in draft.triggering():
        if name == draft.data.get("name"):
            message = f'the pipeline "{name}" is its own trigger: its runs would never end'
            yield Finding(path, "pipeline-cycle", message, "name another pipeline")


def trigger_params_fit(draft: Draft) -> Iterator[Finding]:
    """The parameters of a trigger are declared, fit, and hold all that are required."""
    if "trigger" not in draft.data:
        return
    declared = draft.mapping("params")
    given = draft.trigger().get("with")
    given = given if isinstance(given, dict) else {}
    for name, value in given.items():
        if name not in declared:
            hint = did_you_mean(name, declared, listed_as="declared parameters")
            hint = hint or f"declare it: params: {{{name}: {{default: …}}}}"
            message = f'the trigger gives an unknown parameter "{name}"'
            yield Finding((*_WITH, name), "unknown-param", message, hint, True)
            continue
        param = declared[name]
        kind = param.get("type", "string") if isinstance(param, dict) else None
        fault = param_fault(kind, value) if isinstance(kind, str) else None
        if fault and not is_template(value):
            message = f'the trigger gives the parameter "{name}" {fault}'
            yield Finding((*_WITH, name), "wrong-type", message, f"its type is {kind}")
    for name, param in declared.items():
        if isinstance(param, dict) and param.get("required") is True and name not in given:
            message = f'the trigger does not give the required parameter "{name}"'
            hint = f"give {name} in its `with`, or declare a default"
            yield Finding(("trigger",), "missing-parameter", message, hint, True)


def triggers_speak_of_upstream(draft: Draft) -> Iterator[Finding]:
    """Templates of a trigger are well-formed, and read runs that it waits for."""
    named = [name for _path, name in draft.triggering()]
    variables = template_names.of_trigger()
    for path, value in scalars(draft.trigger().get("with"), _WITH):
        if not is_template(value):
            continue
        used = references(value)
        for code, message, hint, line, word in check_value(value, variables).faults:
            yield Finding(path, code, message, hint, False, line, word)
        for kind in sorted({"params", "steps"} & used.names):
            message = f'a trigger cannot refer to "{kind}": its run has not started'
            hint = "upstream.PIPELINE.params has the parameters of the run that has ended"
            yield Finding(path, "bad-template", message, hint)
        for name, part in sorted(used.upstream):
            if name not in named:
                hint = did_you_mean(name, named, listed_as="it waits for")
                message = f'the trigger does not wait for "upstream.{name}"'
                yield Finding(path, "unknown-upstream", message, hint)
            elif part and part not in READABLE:
                hint = did_you_mean(part, READABLE, listed_as="there are")
                message = f'an upstream run has no "{part}" (upstream.{name}.{part})'
                yield Finding(path, "unknown-upstream", message, hint)
