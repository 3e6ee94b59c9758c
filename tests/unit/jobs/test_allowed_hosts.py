"""Which hosts and addresses a job may speak to."""

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from headrace.errors import JobFailure
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts, HostRefused, is_public
from headrace.jobapi.outbound.mail import MailServer
from headrace.jobapi.outbound.urls import followed, target_of


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names mean here; the resolver of the machine is not asked."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, **_options: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(2, 1, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("api.example.com", "api.example.com"),
        ("API.example.com.", "api.example.com"),
        ("api.example.com", "API.Example.COM."),
        ("*.example.com", "api.example.com"),
        ("*.example.com", "a.b.example.com"),
        ("api.example.com:443", "api.example.com"),
        ("bücher.example".encode("idna").decode(), "bücher.example"),
    ],
)
def test_a_listed_name_may_be_spoken_to(names: dict[str, list[str]], entry: str, host: str) -> None:
    for name in ("api.example.com", "a.b.example.com", "xn--bcher-kva.example"):
        names[name] = ["93.184.216.34"]

    assert AllowedHosts([entry]).addresses(host, 443) == ["93.184.216.34"]


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("api.example.com", "example.com", 443),
        ("api.example.com", "api.example.com.evil.net", 443),
        ("example.com", "api.example.com", 443),
        ("*.example.com", "example.com", 443),
        ("*.example.com", "evilexample.com", 443),
        ("api.example.com:443", "api.example.com", 80),
        ("10.0.0.0/8", "11.0.0.1", 443),
        ("127.0.0.1:8000", "127.0.0.1", 8001),
        ("[::1]:8000", "::1", 8001),
        ("localhost", "127.0.0.1", 80),
        ("93.184.216.34", "2130706433", 80),
        ("93.184.216.34", "0x7f.1", 80),
    ],
)
def test_any_other_host_is_refused(
    names: dict[str, list[str]], entry: str, host: str, port: int
) -> None:
    names[host] = ["93.184.216.34"]

    with pytest.raises(HostRefused, match=r"not among http\.allowed_hosts"):
        AllowedHosts([entry]).addresses(host, port)


def test_by_default_nothing_may_be_spoken_to() -> None:
    with pytest.raises(HostRefused, match=r"http\.allowed_hosts in config\.yaml"):
        AllowedHosts([]).addresses("example.com", 443)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_a_name_that_leads_to_a_private_address_is_refused(
    names: dict[str, list[str]], address: str
) -> None:
    names["api.example.com"] = [address]

    with pytest.raises(HostRefused, match="a private address"):
        AllowedHosts(["api.example.com", "*.example.com"]).addresses("api.example.com", 443)


def test_a_private_address_that_is_listed_may_be_reached_by_name(
    names: dict[str, list[str]],
) -> None:
    names["erp.intern"] = ["10.1.2.3", "10.9.9.9"]

    assert AllowedHosts(["erp.intern", "10.1.0.0/16"]).addresses("erp.intern", 443) == ["10.1.2.3"]


@pytest.mark.parametrize("host", ["::ffff:10.0.0.1", "10.0.0.1"])
def test_an_ipv4_address_is_the_same_in_ipv6(host: str) -> None:
    assert AllowedHosts(["10.0.0.1"]).addresses(host, 80) == ["10.0.0.1"]


def test_localhost_is_this_machine_and_nothing_else(names: dict[str, list[str]]) -> None:
    names["localhost"] = ["::1", "127.0.0.1", "10.0.0.1"]

    assert AllowedHosts(["localhost"]).addresses("localhost", 80) == ["::1", "127.0.0.1"]


def test_a_name_that_nobody_knows_fails_the_job(names: dict[str, list[str]]) -> None:
    with pytest.raises(JobFailure, match=r"api\.example\.com cannot be resolved"):
        AllowedHosts(["api.example.com"]).addresses("api.example.com", 443)


def test_public_addresses_are_public() -> None:
    import ipaddress

    assert is_public(ipaddress.ip_address("93.184.216.34"))
    assert is_public(ipaddress.ip_address("2606:2800:220:1:248:1893:25c8:1946"))


def test_an_entry_that_is_no_address_is_told() -> None:
    with pytest.raises(JobFailure, match=r"10\.0\.0\.0/99"):
        AllowedHosts(["10.0.0.0/99"])
    for entry in ("10.0.0.1:", "cafe:beef", "[::1]:", "h:99999999"):
        with pytest.raises(JobFailure, match="has no port behind its colon"):
            AllowedHosts([entry])


HERE = urlsplit("https://h/a/b?x=1")


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("c", "https://h/a/c"),
        ("/é".encode().decode("latin-1"), "https://h/é"),
        ("/\xe9!", "https://h/%E9!"),
        (" /a b ", "https://h/a%20b"),
        ("https://other:8/?y", "https://other:8/?y"),
    ],
)
def test_a_location_leads_where_its_bytes_say(location: str, leads: str) -> None:
    assert followed(HERE, location).geturl() == leads


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://h/", " from https to http, which is not followed"),
        ("/\x01", ", and where it leads contains a control character"),
        ("ftp://h/", ", and where it leads is not an http:// or https:// URL with a host"),
        (
            "https://me@h/",
            ", and where it leads holds a user name: write an Authorization header instead",
        ),
    ],
)
def test_a_location_that_cannot_be_followed_is_told(location: str, told: str) -> None:
    with pytest.raises(JobFailure) as refused:
        followed(HERE, location)

    assert str(refused.value) == f"https://h/a/b is redirected{told}"


def test_what_is_asked_of_a_host_is_ascii_with_its_marks_as_they_are() -> None:
    assert target_of(urlsplit("https://h/a!~é%41%?q=%zz&r=ü#f")) == (
        "/a!~%C3%A9%41%25?q=%25zz&r=%C3%BC"
    )


def test_a_mail_server_does_not_tell_its_password() -> None:
    assert "canary-word" not in repr(MailServer("h", 25, "none", "me", "canary-word"))
