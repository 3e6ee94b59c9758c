"""A database's URL as libpq reads it, and what is wrong with it without a piece of a password."""

import pytest

from headrace.errors import ConfigError
from headrace.store.dsn import options_of, parameters, place_of


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("h:5432/d", "the database URL cannot be read; write postgresql://"),
        ("mysql://h/d", 'the database URL names "mysql"; Headrace needs PostgreSQL'),
        ("postgresql://u:p@x@h/d", "has more than one @, or a / before it; in a user's name or"),
        ("postgresql://u:p/x@h/d", "has more than one @"),
        ("postgresql://h:0/d", "is not a number from 1 to 65535"),
        ("postgresql://h:65536/d", "is not a number from 1 to 65535"),
        ("postgresql://h:x/d", "is not a number from 1 to 65535"),
        ("postgresql://[::1]:x/d", "is not a number from 1 to 65535"),
        ("postgresql://h/d?sslmode", "has no value; write name=value"),
        (
            "postgresql://h/d?sslmod=x",
            'the parameter "sslmod" of the database URL is none of libpq',
        ),
        ("postgresql://h/d?s3cret!=x", "a parameter of the database URL is none of libpq's"),
        ("postgresql://h/d?password=a&s3cret=x", "a parameter of the database URL is none"),
    ],
)
def test_a_mistake_in_a_url_is_told_and_no_piece_of_a_password(url: str, told: str):
    with pytest.raises(ConfigError) as refused:
        parameters(url)

    assert told in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://", {}),
        ("POSTGRES://h:1/", {"host": "h", "port": "1"}),
        ("postgresql://h:65535", {"host": "h", "port": "65535"}),
        ("postgresql://u@h/a%20b", {"user": "u", "host": "h", "dbname": "a b"}),
        ("postgresql://u:@h", {"user": "u", "host": "h"}),
        ("postgresql://:p@h", {"password": "p", "host": "h"}),
        ("postgresql://a,b:2/d", {"host": "a,b", "port": ",2", "dbname": "d"}),
        ("postgresql:///d?host=/run/pg", {"dbname": "d", "host": "/run/pg"}),
        ("postgresql:///d?host=::1", {"dbname": "d", "host": "::1"}),
        ("postgresql:///d?host=FE80::1&port=7", {"dbname": "d", "host": "FE80::1", "port": "7"}),
        ("postgresql:///d?host=[::1]:7", {"dbname": "d", "host": "::1", "port": "7"}),
        ("postgresql:///d?host=a:1,b:7", {"dbname": "d", "host": "a,b", "port": "1,7"}),
        ("postgresql:///d?host=h:7", {"dbname": "d", "host": "h", "port": "7"}),
        ("postgresql://h/d?ssl=true", {"host": "h", "dbname": "d", "sslmode": "require"}),
        ("postgresql://h?&sslmode=prefer&", {"host": "h", "sslmode": "prefer"}),
    ],
)
def test_a_url_is_read_as_libpq_reads_it(url: str, found: dict[str, str]):
    assert parameters(url) == found


def test_a_place_has_the_defaults_of_postgresql():
    assert place_of("postgresql://u@h/d") == ("h", "5432", "d")
    assert place_of("postgresql://u@h:7") == ("h", "7", "u")
    assert place_of("postgresql:///") == ("", "5432", "")


def test_settings_are_read_from_options_as_the_server_does(monkeypatch: pytest.MonkeyPatch):
    given = r"-c Lock_Timeout=5s --statement-timeout=1min -csearch_path=a\ b,c -c x.y=z -d"
    assert options_of({"options": given}) == {
        "lock_timeout": "5s", "statement_timeout": "1min", "search_path": "a b,c", "x.y": "z",
    }  # fmt: skip
    monkeypatch.setenv("PGOPTIONS", "-c a=1")
    assert options_of({}) == {"a": "1"}
    assert options_of({"options": "-c b=2"}) == {"b": "2"}
