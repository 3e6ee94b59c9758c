"""The parts of the wall that need no server."""

import pytest

from headrace.web.access import is_loopback, name_of


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8000", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:8000", "[::1]"),
        ("[::1", "[::1"),
        ("::1", "::1"),
        ("::1:8000", "::1:8000"),
        ("localhost:", "localhost"),
        ("localhost:x", "localhost:x"),
        ("localhost@evil:80", "localhost@evil"),
        ("", ""),
    ],
)
def test_a_host_header_is_read_without_its_port(host: str, name: str):
    assert name_of(host) == name


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_addresses_are_told(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example", "127.0.0.1.example"]
)
def test_addresses_that_others_reach_are_told(host: str):
    assert not is_loopback(host)
