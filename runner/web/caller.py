"""Identifies the caller of a loopback connection: the owner of the calling socket.

The kernel lists it in /proc/net/tcp and tcp6. A connection is looked up once, when it is
accepted, by its four numbers. What cannot be known for sure is unknown: whoever asks needs a
token then, as everybody does where there is no /proc (on macOS, say).
"""

import ipaddress
import os
import sys
from asyncio import Future, Transport
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Under this name a request's scope has the user id of its caller, if that is our own user or root.
OWNER = "caller_of_ours"

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# Whom a user namespace calls those that it does not know.
_OVERFLOW_UID = 65534
# Established, or half closed by the caller. One that is only being made (SYN_SENT) could be a new
# one with the numbers of ours, whose caller is gone.
_HELD_STATES = frozenset({"01", "04", "05"})

# The kernel gives its table out in pieces. Where connections come and go meanwhile, a line can be
# left out or come twice: then the table is read again.
_LOOKS = 5

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
End = tuple[Address, int]


class Protocol(H11Protocol):
    """HTTP on one connection, which knows whether our own user has opened it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Look the caller up before a word of it is read; see the module's text."""
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        # Where the kernel has room for many connections, the look takes milliseconds.
        transport.pause_reading()
        looking = self.loop.run_in_executor(None, whose, opened)

        def read_on(looked: "Future[int | None]") -> None:
            known = not looked.cancelled() and looked.exception() is None
            self.app_state = {**self.app_state, OWNER: looked.result() if known else None}
            if not transport.is_closing():
                transport.resume_reading()

        looking.add_done_callback(read_on)


def whose(connection: Any) -> int | None:
    """Return whose the other end of an accepted connection is: our user's id, or root's.

    None is anybody else, or somebody who cannot be known.
    """
    try:
        caller = connection.getpeername()
        ends = _end(caller), _end(connection.getsockname())
        uid = next((uid for _ in range(_LOOKS) if (uid := _owner(*ends)) is not None), None)
        # A connection that is gone frees its numbers; this one had them throughout the look.
        same = connection.getpeername() == caller
    except (OSError, ValueError, IndexError):
        return None
    return uid if same and uid != _OVERFLOW_UID and uid in (0, os.geteuid()) else None


def _owner(caller: End, own: End) -> int | None:
    """Return the user id that the caller's socket belongs to, None where it is not one's alone."""
    for table in _TABLES:
        # No connection is in both. One of IPv4 stands in the second where an IPv6 socket made it.
        found = list(_lines(table, caller, own))
        if found:
            return _holder(found[0]) if len(found) == 1 else None
    return None


def _holder(fields: Sequence[str]) -> int | None:
    # A socket that its process has closed is still listed, as root's, without an inode.
    if fields[3] not in _HELD_STATES or int(fields[9]) == 0:
        return None
    return int(fields[7])


def _lines(table: Path, caller: End, own: End) -> Iterator[list[str]]:
    """Yield the fields of each line that speaks of the caller's end of this connection."""
    if not table.exists():  # A machine without IPv6 has one of them only.
        return
    ports = f":{caller[1]:04X}", f":{own[1]:04X}"
    for line in table.read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if not fields[1].endswith(ports[0]) or not fields[2].endswith(ports[1]):
            continue
        if (_listed(fields[1]), _listed(fields[2])) == (caller, own):
            yield fields


def _listed(text: str) -> End:
    """Read an end as the kernel lists it: words of four bytes in the machine's own order."""
    address, _, port = text.partition(":")
    words = [address[start : start + 8] for start in range(0, len(address), 8)]
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    return _plain(ipaddress.ip_address(packed)), int(port, 16)


def _end(name: Any) -> End:
    return _plain(ipaddress.ip_address(str(name[0]).partition("%")[0])), int(name[1])


def _plain(address: Address) -> Address:
    """Return an address without its IPv6 form: a listener of both has IPv4 callers in that form."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
