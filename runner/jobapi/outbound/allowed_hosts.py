"""Checks hosts and addresses against a configured list before anything connects to them.

A name is resolved once, and the connection goes to an address that was looked at: what the name
means a moment later does not count. A listed name that leads to a private address (loopback,
link-local, a company's own network) is refused unless that address is listed, too.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.errors import InvalidPayload, JobFailure

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OF_NOTIFICATIONS = "notifications.allowed_hosts"
_WHO = {
    "http.allowed_hosts": "jobs cannot connect",
    OF_NOTIFICATIONS: "no notification is sent",
}
_PORT = re.compile(r"[0-9]{1,5}")
# Addresses of IPv4 within IPv6, behind a translator.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class HostRefused(InvalidPayload):
    """A host that the configuration does not allow, or that leads to a private address.

    No further attempt is made.
    """


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the list: a name, or a network. `port` None stands for all."""

    name: str | None
    network: Network | None
    port: int | None

    def names(self, host: str, port: int) -> bool:
        """Return whether the entry has this host's name."""
        if self.name is None or not self._has(port):
            return False
        if self.name.startswith("*."):
            return host.endswith(self.name[1:]) and host != self.name[1:]
        return host == self.name

    def holds(self, address: Address, port: int) -> bool:
        """Return whether the entry has this address."""
        if not self._has(port):
            return False
        return (
            self.network is not None
            and self.network.version == address.version
            and address in self.network
        )

    def _has(self, port: int) -> bool:
        return self.port is None or self.port == port


class AllowedHosts:
    """A list of hosts, by default the `http.allowed_hosts` of the configuration.

    `key` is where the list stands in config.yaml, as messages name it.
    """

    def __init__(self, entries: Iterable[str], key: str = "http.allowed_hosts") -> None:
        """Raises JobFailure where an entry cannot be read."""
        self._key = key
        self._entries = [_read(entry, key) for entry in entries]

    def refuse_unlisted(self, host: str, port: int) -> str | None:
        """Refuse a host that is not listed, without resolving it; returns an address's text.

        Raises:
            HostRefused: it is not listed.
        """
        host = plain_host(host)
        literal = _address(host)
        if literal is not None:
            if not any(entry.holds(literal, port) for entry in self._entries):
                raise HostRefused(self._not_listed(host))
            return str(literal)
        if not any(entry.names(host, port) for entry in self._entries):
            raise HostRefused(self._not_listed(host))
        return None

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses at which a host may be reached, in the resolver's order.

        Raises:
            HostRefused: there is none.
            JobFailure: the name cannot be resolved.
        """
        literal = self.refuse_unlisted(host, port)
        if literal is not None:
            return [literal]
        host = plain_host(host)
        found = list(dict.fromkeys(_resolved(host, port)))
        own = host == "localhost"
        allowed = [one for one in found if self._may_reach(one, port) or (own and one.is_loopback)]
        if not allowed:
            raise HostRefused(
                f"{host} resolves to {found[0]}, a private address: {self._key} in"
                " config.yaml must also list that address"
            )
        return [str(one) for one in allowed]

    def _may_reach(self, address: Address, port: int) -> bool:
        return is_public(address) or any(entry.holds(address, port) for entry in self._entries)

    def _not_listed(self, host: str) -> str:
        return f"{host} is not among {self._key} in config.yaml, so {_WHO[self._key]} to it"


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the open Internet, whatever IPv4 address is in it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(one is None or is_public(one) for one in inner):
            return False
    return address.is_global and not address.is_multicast


def plain_host(host: str) -> str:
    """Return a host as the list has it: lower case, in ASCII, without the dot at its end.

    Raises:
        HostRefused: it is not a host name.
    """
    try:
        # An address of IPv6 may name a zone, which a list cannot.
        ascii_host = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise HostRefused(f"{host!r} is not a host name") from None
    return ascii_host.lower().removesuffix(".")


def _address(host: str) -> Address | None:
    """Return the address that a host's text is; an IPv4 address in IPv6 clothes as IPv4."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _resolved(host: str, port: int) -> Iterator[Address]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise JobFailure(f"{host} cannot be resolved: {error}") from None
    for *_, place in answers:
        address = _address(str(place[0]))
        if address is not None:
            yield address


def _read(entry: str, key: str) -> Allowed:
    text, written = _without_port(entry)
    if written is not None and not _PORT.fullmatch(written):
        raise JobFailure(f"{key} in config.yaml: {entry!r} has no port behind its colon")
    port = None if written is None else int(written)
    try:
        return Allowed(None, ipaddress.ip_network(text, strict=False), port)
    except ValueError:
        if "/" in text or ":" in text:
            raise JobFailure(
                f"{key} in config.yaml: {entry!r} is not an address or network"
            ) from None
    return Allowed(text.lower().removesuffix("."), None, port)


def _without_port(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        inner, _, rest = entry[1:].partition("]")
        return inner, rest[1:] if rest else None
    if entry.count(":") == 1:
        text, _, port = entry.partition(":")
        return text, port
    return entry, None
