"""What a connection to MySQL is opened with: all of it, whatever its URL says."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.model.connection import NamedConnection
from headrace.store.others.mysql_line import MysqlLine
from headrace.template.guard import JobGuard

_ALWAYS = {
    "host": "localhost",
    "port": 3306,
    "user": None,
    "password": "",
    "database": "shop",
    "charset": "utf8mb4",
    "sql_mode": (
        "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_ALL_TABLES,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
    ),
    "init_command": "SET time_zone = '+00:00'",
    "connect_timeout": 10,
    "autocommit": True,
}


class Opened:
    """A session that takes every statement."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def get_server_info(self) -> str:
        return "8.4.0"

    def cursor(self) -> "Opened":
        return self

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_given: object) -> None:
        """Nothing is open."""

    def execute(self, statement: str) -> None:
        self.said.append(statement)


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("mysql:///shop", {}),
        (
            "mariadb+pymysql://etl:p%40ss@db.example:3307/shop",
            {"host": "db.example", "port": 3307, "user": "etl", "password": "p@ss"},
        ),
        ("mysql:///shop?unix_socket=/run/my.sock", {"unix_socket": "/run/my.sock"}),
        (
            "mysql://h/shop?ssl_ca=/a&ssl_cert=/b&ssl_key=/c",
            {"host": "h", "ssl_ca": "/a", "ssl_cert": "/b", "ssl_key": "/c"},
        ),
    ],
)
def test_a_session_is_strict_in_utc_and_opened_as_its_url_says(
    url: str, more: dict[str, Any]
) -> None:
    given: list[dict[str, Any]] = []
    opened = Opened()

    def connect(**named: Any) -> Opened:
        given.append(named)
        return opened

    line = MysqlLine("there", NamedConnection(url), JobGuard(), 7)
    line.driver = SimpleNamespace(connect=connect, Error=Exception)
    line.open(read_only=False)

    assert given == [{**_ALWAYS, **more}]
    assert opened.said == ["SET innodb_lock_wait_timeout = 7", "SET lock_wait_timeout = 7"]
