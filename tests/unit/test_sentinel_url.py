"""REDIS_URL with sentinels: what it says, and what is wrong with it."""

import pytest

from headrace.declarations.config import load_settings
from headrace.declarations.config.secrets import hidden_values
from headrace.errors import ConfigError, QueueUnavailable
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


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://:hush@h1:26379", "the name of the service"),
        ("redis+sentinel://:hush@h1:26379/etl/first", "the number of a database"),
        ("redis+sentinel://:hush@h1:none/etl", "'h1:none' is no HOST:PORT"),
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
