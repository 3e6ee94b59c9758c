"""What departs from a schema is told in the file's own words, with what to write instead."""

from typing import Any

import pytest

from headrace.declarations.schemas import departures, schema
from headrace.declarations.schemas.finding_text import _WORDINGS
from headrace.declarations.source import parse

STEP = "name: p\nsteps: [{id: a, job: X%s}]\n"


def found(text: str, name: str) -> list[tuple[str, str, str]]:
    data = parse(text, "f").data
    return [(one.code, one.message, one.hint) for one in departures(data, name)]


def description(*keys: str) -> str:
    part: Any = schema("config")
    for key in keys:
        part = part["properties"][key]
    return str(part["description"])


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        (
            "workers: '3'",
            "wrong-type",
            'a whole number, not "3"',
            "write the number without quotes",
        ),
        ("workers: 'x'", "wrong-type", 'a whole number, not "x"', description("workers")),
        (
            "shell_commands: 'yes'",
            "wrong-type",
            'takes true or false, not "yes"',
            "write true or false, without quotes",
        ),
        ("queues: high", "wrong-type", 'takes a list, not "high"', "write a list: [high]"),
        (f"queues: {'x' * 39}", "wrong-type", "takes a list", f"write a list: [{'x' * 39}]"),
        (f"queues: {'x' * 40}", "wrong-type", "takes a list", description("queues")),
        ("queues: '{x'", "wrong-type", 'takes a list, not "{x"', description("queues")),
        ("queues: []", "bad-value", '"queues" is empty', description("queues")),
        ("host: ''", "bad-value", '"host" is empty', description("host")),
        ("default_queue: 5", "wrong-type", "takes text, not 5", 'quote it: "5"'),
        ("default_queue: 1.5", "wrong-type", "takes text, not 1.5", 'quote it: "1.5"'),
        ("default_queue: true", "wrong-type", "takes text, not true", 'quote it: "true"'),
        ("timeout: 5", "wrong-type", "takes a duration, not 5", "add a unit: 5s for seconds, 5m"),
        ("timeout: 1.5", "wrong-type", "takes a duration", "add a unit: 1.5s for seconds, 1.5m"),
        ("timeout: true", "wrong-type", "takes a duration, not true", description("timeout")),
        ("timeout:", "wrong-type", "a duration, not nothing", "write a value, or remove the key"),
        ("timeout: [1]", "wrong-type", "takes a duration, not a list", description("timeout")),
        ("home: {a: 1}", "wrong-type", "takes text, not a mapping", description("home")),
        ("port: 65536", "bad-value", '"port" is 65536; the maximum is 65535', description("port")),
        ("port: -1", "bad-value", '"port" is -1; the minimum is 0', description("port")),
        ("queues: [a, b, a]", "duplicate-item", '"a" occurs twice', "keep one of the two"),
        (f"log_level: {'x' * 58}", "bad-value", f'"{"x" * 58}"', "it can be: debug, info, warning"),
        (f"log_level: {'x' * 59}", "bad-value", f'"{"x" * 58}…', "it can be: debug, info, warning"),
        ("pools: {a b: 1}", "bad-name", 'cannot contain the name "a b"', "a pool's name begins"),
        ("pools: {a: 0}", "bad-value", "is 0; the minimum is 1", "see the schema of this file"),
        ("retry: {limt: 1}", "unknown-key", 'key "limt" in "retry"', 'did you mean "limit"?'),
        ("nope: 1", "unknown-key", 'unknown key "nope"', "known keys: database_url, redis_url"),
        ("[]", "wrong-type", "the file takes a mapping, not a list", "config.yaml. Every key is"),
        ("connections: {a: 5}", "wrong-type", 'connection "a" takes text or a mapping', "see the"),
        ("connections: {a: {}}", "missing-key", 'connection "a" lacks the key "url"', "URL of the"),
        ("grace: 5 s", "bad-duration", '"grace" cannot be "5 s"', "a duration is a number and a"),
        ("notify: {on: [x], to: []}", "bad-value", '"notify.on[1]" cannot be "x"', "it can be: "),
    ],
)
def test_a_departure_of_config_yaml_has_its_words_and_a_remedy(
    text: str, code: str, message: str, hint: str
) -> None:
    ((told_code, told, remedy),) = found(text, "config")
    assert told_code == code
    assert message in told
    assert remedy.startswith(hint)


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        (
            STEP.replace("job: X%s", "depends_on: []"),
            "missing-key",
            'step "a" takes exactly one of "job", "pipeline" and "template"',
            "name one of them",
        ),
        (STEP % ", pipeline: y", "conflicting-keys", "takes exactly one of", "remove one of them"),
        (STEP.replace("{id: a, job: X%s}", "5"), "wrong-type", "step 1 takes a mapping, not 5", ""),
        (STEP % ", foreach: {items: 5}", "wrong-type", "takes a list or text, not 5", "List of at"),
        (STEP % ", depends_on: [b, b]", "duplicate-item", '"b" occurs twice', "keep one of"),
        (
            STEP % ", retry: {limit: 1001}",
            "bad-value",
            '"retry.limit" of step "a" is 1001; the maximum is 1000',
            "Number of retries",
        ),
        (
            "handlers: {failure: [{id: b, job: X, env: {a b: c}}]}\n" + STEP % "",
            "bad-name",
            '"env" of handler "b" cannot contain the name "a b"',
            "an environment variable's name begins",
        ),
        (
            "handlers: {finally: [{job: X}]}\n" + STEP % "",
            "missing-key",
            'handler 1 lacks the key "id"',
            "",
        ),
        ("schedule: 5\n" + STEP % "", "wrong-type", "takes text, a mapping or a list, not 5", ""),
        ("schedule: []\n" + STEP % "", "bad-value", '"schedule" is empty', "Fill it in, or leave"),
        (
            "schedule: [{cron: x}, {cron: 5}]\n" + STEP % "",
            "wrong-type",
            '"cron" of schedule 2 takes text, not 5',
            'quote it: "5"',
        ),
        (
            "params: {n: {type: x}}\n" + STEP % "",
            "bad-value",
            '"type" of parameter "n" cannot be "x"',
            "it can be: string, integer",
        ),
        ("params: {n: 5}\n" + STEP % "", "wrong-type", 'parameter "n" takes a mapping', "One par"),
        (
            (STEP % "").replace("name: p", f"name: {'x' * 101}"),
            "bad-value",
            '"name" is longer than 100 characters',
            "Name of the pipeline",
        ),
        ("name: p\n", "missing-key", 'the file lacks the key "steps"', "The steps. Their order"),
    ],
)
def test_a_departure_of_a_pipeline_has_its_words_and_a_remedy(
    text: str, code: str, message: str, hint: str
) -> None:
    ((told_code, told, remedy),) = found(text, "pipeline")
    assert told_code == code
    assert message in told
    assert remedy
    assert remedy.startswith(hint)


def test_what_may_be_a_secret_is_not_shown() -> None:
    url = "notifications: {receivers: {a: {type: slack, url: x8231}}}"
    for text in ("api_token: 8231", "database_url: 8231", url):
        ((_, message, hint),) = found(text, "config")
        assert "8231" not in message + hint


def test_every_keyword_of_the_schemas_has_its_words() -> None:
    structural = {"properties", "patternProperties", "items", "anyOf", "oneOf", "propertyNames"}
    notes = {"title", "description", "default", "examples", "patternErrorMessage", "x-code"}
    known = {*_WORDINGS, *structural, *notes, "$schema", "$id", "$ref", "$defs", "writeOnly"}

    def keywords(part: Any) -> set[str]:
        if not isinstance(part, dict):
            return set()
        named = [
            one
            for key in ("properties", "patternProperties", "$defs")
            for one in part.get(key, {}).values()
        ]
        listed = [*part.get("anyOf", ()), *part.get("oneOf", ()), part.get("items")]
        return set(part).union(*map(keywords, [*named, *listed, part.get("additionalProperties")]))

    for name in ("pipeline", "defaults", "config"):
        assert keywords(dict(schema(name))) <= known, name
