"""Connections to one address of a host: how long they wait, and whose certificate they take."""

import ssl
from urllib.parse import urlsplit

import pytest

from headrace.jobapi.outbound import pinned_connection
from headrace.jobapi.outbound.pinned_connection import CONNECT_S, READ_S, pool_to


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://example.com/x", 80),
        ("http://example.com:8080/x", 8080),
        ("https://example.com/x", 443),
        ("https://example.com:8443/x", 8443),
    ],
)
def test_a_pool_has_one_connection_to_the_address_that_gives_up_after_a_time(
    url: str, port: int
) -> None:
    pool = pool_to(urlsplit(url), "192.0.2.7")

    assert (pool.host, pool.port) == ("192.0.2.7", port)
    assert (pool.timeout.connect_timeout, pool.timeout.read_timeout) == (CONNECT_S, READ_S)
    assert pool.pool is not None
    assert pool.pool.maxsize == 1
    secure = url.startswith("https")
    known = pinned_connection._Tls if secure else pinned_connection._Plain
    assert pool.ConnectionCls is known


def test_a_certificate_is_checked_for_the_hosts_name_and_not_for_its_address() -> None:
    pool = pool_to(urlsplit("https://Example.com./x"), "192.0.2.7")

    assert pool.assert_hostname == pool.conn_kw["server_hostname"] == "example.com"  # type: ignore[attr-defined]
    context = pool.conn_kw["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
