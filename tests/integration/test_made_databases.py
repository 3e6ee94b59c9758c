"""Databases beside the control database: made once, at the first use, by whoever may."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import pytest

from headrace.errors import ConfigError
from headrace.model.connection import NamedConnection, on_server
from headrace.store.made_databases import is_there, make_missing
from tests.support.servers import connect, drop_database

NAME = "headrace_made"


def beside(control_url: str, name: str = NAME, role: str | None = None) -> NamedConnection:
    return on_server({"it": NamedConnection(f"control:///{name}", role=role)}, control_url)["it"]


@pytest.fixture
def made(database: str) -> Iterator[NamedConnection]:
    connection = beside(database)
    drop_database(database, connection.url)
    yield connection
    drop_database(database, connection.url)


@pytest.mark.parametrize(
    ("control", "there"),
    [
        ("postgresql://me:pw@h:5433/control?sslmode=require", "me:pw@h:5433/mart?sslmode=require"),
        ("postgresql://me@/headrace?host=/run/x&port=5", "me@/mart?host=/run/x&port=5"),
        ("postgresql:///?dbname=control", "/mart"),
        ("postgresql://a,b:5433", "a,b:5433/mart"),
    ],
)
def test_its_url_is_the_control_databases_with_another_name(control: str, there: str):
    found = beside(control, "mart", role="etl")

    assert found == NamedConnection(f"postgresql://{there}", role="etl", control_url=control)
    assert "pw" not in repr(found)


def test_other_connections_stay_as_they_are():
    given = {"shop": NamedConnection("postgresql://h/control")}

    assert on_server(given, "postgresql://h/other") == given


def test_four_workers_make_it_once(made: NamedConnection):
    assert not is_there(made)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make_missing, [made] * 4))

    assert is_there(made)
    connect(made.url).close()


def test_a_role_that_may_not_make_it_is_told_what_to_do(database: str, made: NamedConnection):
    admin = connect(database)
    try:
        with admin.cursor() as cursor:
            cursor.execute("DROP ROLE IF EXISTS makes_none; CREATE ROLE makes_none LOGIN")
        parts = urlsplit(database)
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"makes_none@{host}"))
        with pytest.raises(ConfigError, match=f'CREATE DATABASE {NAME}|CREATE DATABASE "{NAME}"'):
            make_missing(beside(url))
        assert not is_there(made)
    finally:
        with admin.cursor() as cursor:
            cursor.execute("DROP ROLE IF EXISTS makes_none")
        admin.close()
