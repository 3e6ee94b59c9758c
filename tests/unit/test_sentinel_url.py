"""REDIS_URL with sentinels: what it says, and what is wrong with it."""

from types import SimpleNamespace
from typing import Any

import pytest
from redis.sentinel import MasterNotFoundError, SentinelConnectionPool

from headrace.declarations.config import load_settings
from headrace.declarations.config.secrets import hidden_values
from headrace.errors import ConfigError, QueueUnavailable
from headrace.queue import sentinel
from headrace.queue.connect import connect, reported
from headrace.queue.sentinel import SentinelUrl, read
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "redis+sentinel://:se%40cret@h1:26379,h2:26380,h3/etl/3",
            SentinelUrl((("h1", 26379), ("h2", 26380), ("h3", 26379)), "etl", 3, None, "se@cret"),
        ),
        (
            "rediss+sentinel://user:p@[::1]:5,[fe80::2]/etl",
            SentinelUrl((("::1", 5), ("fe80::2", 26379)), "etl", 0, "user", "p", tls=True),
        ),
        (
            "redis+sentinel://h1/etl/0?sentinel_password=x&sentinel_username=y",
            SentinelUrl((("h1", 26379),), "etl", sentinel_login={"password": "x", "username": "y"}),
        ),
        (
            f"rediss+sentinel://h1/etl?ssl_ca_certs={__file__}&ssl_check_hostname=False",
            SentinelUrl(
                (("h1", 26379),),
                "etl",
                tls=True,
                tls_options={"ssl_ca_certs": __file__, "ssl_check_hostname": False},
            ),
        ),
    ],
)
def test_a_url_of_sentinels_says_hosts_service_database_and_logins(
    url: str, said: SentinelUrl
) -> None:
    assert read(url) == said


@pytest.mark.parametrize("word", ["true", "True", "false", "FALSE"])
def test_whether_the_host_s_name_is_checked_is_said_by_a_word_in_any_letters(word: str) -> None:
    found = read(f"rediss+sentinel://h1:65535/etl?ssl_check_hostname={word}")

    assert found.tls_options == {"ssl_check_hostname": word.lower() == "true"}
    assert found.sentinels == (("h1", 65535),)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://:hush@h1:26379", "the name of the service"),
        ("redis+sentinel://:hush@h1:26379/etl/first", "the number of a database"),
        ("redis+sentinel://:hush@h1:26379/etl/²", "the number of a database"),
        (f"redis+sentinel://:hush@h1:26379/etl/{'1' * 5000}", "the number of a database"),
        ("redis+sentinel://:hush@h1:none/etl", "'h1:none' is no HOST:PORT"),
        ("redis+sentinel://:hush@h1:²/etl", "'h1:²' is no HOST:PORT"),
        ("redis+sentinel://:hush@h1:0/etl", "'h1:0' is no HOST:PORT"),
        ("redis+sentinel://:hush@h1:65536/etl", "'h1:65536' is no HOST:PORT"),
        ("redis+sentinel://:hush@/etl", "'' is no HOST:PORT"),
        ("redis+sentinel://:hush@h1,/etl", "'' is no HOST:PORT"),
        ("redis+sentinel://:hush@h1/etl?db=3", "it takes no 'db'"),
        ("redis+sentinel://:hush@h1/etl?ssl_ca_certs=/x", "it takes no 'ssl_ca_certs'"),
        ("rediss+sentinel://:hush@h1/etl?ssl_ca_certs=/x", "there is no file '/x'"),
        ("rediss+sentinel://:hush@h1/etl?ssl_check_hostname=no", "is true or false"),
    ],
)
def test_a_mistake_in_it_is_named_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        connect(url)
    assert told in str(refused.value)
    assert "/SERVICE/0" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_sentinels_that_do_not_answer_are_an_outage_with_that_reason() -> None:
    port = free_port()
    line = connect(f"redis+sentinel://127.0.0.1:{port}/etl?sentinel_password=hush")
    with line, pytest.raises(QueueUnavailable) as refused, reported():
        line.ping()
    assert refused.value.reason == "no-master"
    assert "the sentinels of REDIS_URL do not answer" in str(refused.value)
    assert f"127.0.0.1:{port} - Error 111 connecting" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_its_passwords_are_hidden() -> None:
    url = "redis+sentinel://:first-one@h1:26379,h2:26379/etl/0?sentinel_password=second-one"
    settings = load_settings({"REDIS_URL": url})
    assert {"first-one", "second-one"} <= hidden_values(settings)
    assert "h1" not in hidden_values(settings)


def test_a_client_has_the_login_the_database_and_the_options_that_were_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sentinel._Pool, "get_master_address", lambda _self: ("m", 7))
    url = (
        "rediss+sentinel://user:p@h1:5/etl/3?sentinel_password=x&sentinel_username=y"
        f"&ssl_ca_certs={__file__}"
    )

    made = sentinel.client_of(url, retry=None, socket_timeout=9.0)

    pool: Any = made.connection_pool
    said = pool.connection_kwargs
    assert (pool.service_name, said["db"], said["username"], said["password"]) == (
        "etl", 3, "user", "p",
    )  # fmt: skip
    assert (said["socket_timeout"], said["retry"]) == (9.0, None)
    (asked,) = pool.sentinel_manager.sentinels
    told = asked.connection_pool.connection_kwargs
    assert (told["host"], told["port"], told["username"], told["password"]) == ("h1", 5, "y", "x")
    assert told["socket_timeout"] == told["socket_connect_timeout"] == sentinel._SENTINEL_S
    assert told["ssl_ca_certs"] == __file__


# -- the master ---------------------------------------------------------------------------------


class Pool(sentinel._Pool):
    """A pool whose sentinels answer what a test says."""

    def __init__(self) -> None:
        self.service_name, self._ask_at = "etl", 0.0
        self.known: tuple[str, int] | None = None
        self.answer: tuple[str, int] | Exception = ("a", 1)
        self.asked = 0

    @property
    def master_address(self) -> tuple[str, int] | None:
        return self.known

    def get_master_address(self) -> tuple[str, int]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        self.known = self.answer
        return self.answer


def test_a_change_of_the_master_is_told_and_an_outage_of_all_sentinels_is_no_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = Pool()
    assert pool.master_now() == ("a", 1)
    assert pool.master_now() == ("a", 1)
    assert caplog.text == "", "the first one is no change"
    for error in (MasterNotFoundError("none"), OSError("no route")):
        pool.answer = error
        assert pool.master_now() is None
    pool.answer = ("b", 2)
    assert pool.master_now() == ("b", 2)
    assert "Redis at b:2 leads etl now" in caplog.text


def test_a_connection_to_a_former_master_is_known() -> None:
    pool = Pool()
    client: Any = SimpleNamespace(connection_pool=pool)

    def former(host: str, port: int, of: Any = client) -> bool:
        return sentinel.is_former_master(of, SimpleNamespace(host=host, port=port))

    assert not former("a", 1)
    assert former("a", 2)
    assert former("b", 1)
    pool.answer = OSError("no route")
    assert not former("b", 1), "the sentinels may be away"
    assert not former("b", 1, SimpleNamespace(connection_pool=object()))


def test_sentinels_are_asked_again_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("headrace.queue.sentinel.time.monotonic", lambda: now[0])
    monkeypatch.setattr(SentinelConnectionPool, "get_connection", lambda *_given, **_named: "line")
    pool = Pool()
    asked = []
    for seconds in (0.0, 5.0, 0.1, 4.0):
        now[0] += seconds
        assert pool.get_connection() == "line"
        asked.append(pool.asked)

    assert asked == [1, 1, 2, 2]
