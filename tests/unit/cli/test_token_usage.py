"""What `headrace token` does not take is told before any server is asked."""

from typing import Any

import pytest

from headrace.cli.access import token
from headrace.cli.arguments import parser
from headrace.engine.access.tokens import create_token
from headrace.errors import ConfigError
from headrace.model.caller import Role


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("create", "takes the NAME"),
        ("create vera", "--role: viewer, operator or admin"),
        ("list vera", "takes no NAME"),
        ("list --role viewer", "takes no --role"),
        ("revoke", "takes the NAME"),
        ("revoke vera --role viewer", "takes no --role"),
    ],
)
def test_what_an_action_does_not_take_is_told(words: str, told: str):
    with pytest.raises(ConfigError, match=told) as refused:
        token(parser().parse_args(["token", *words.split()]))

    assert refused.value.exit_code == 2


@pytest.mark.parametrize("words", ["create vera --role boss", "make vera"])
def test_an_unknown_action_or_role_is_wrong_usage(words: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["token", *words.split()])

    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "-x", "../x", "a b", "HEADRACE_API_TOKEN", "é", "x" * 64])
def test_a_name_that_could_be_taken_for_something_else_is_refused(name: str):
    nobody: Any = None

    with pytest.raises(ConfigError, match="cannot be the name"):
        create_token(nobody, name, Role.VIEWER)
