"""Whose a connection is, by what the kernel lists of it."""

import os
from pathlib import Path
from typing import Any

import pytest

from headrace.web import caller

Name = tuple[Any, ...]
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid ...\n"
V4 = "0100007F:9C40", "0100007F:1F40"
MAPPED = "0000000000000000FFFF00000100007F"
V6 = "00000000000000000000000001000000"


class Connection:
    """Both names of an accepted socket; `later` is the caller's at the second look."""

    def __init__(self, peer: Name, own: Name, later: Name | None = None) -> None:
        self._peers, self._own = [later or peer, peer], own

    def getpeername(self) -> Name:
        return self._peers.pop()

    def getsockname(self) -> Name:
        return self._own


def line(ends: tuple[str, str], *, uid: int, inode: int = 7, state: str = "01") -> str:
    local, remote = ends
    return (
        f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {uid}"
        f"        0 {inode} 1 0000 20 4 30 10 -1\n"
    )


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let the kernel list these lines of IPv4 and of IPv6."""

    def write(four: str = "", six: str = "") -> None:
        (tmp_path / "tcp").write_text(HEAD + four)
        (tmp_path / "tcp6").write_text(HEAD + six)
        monkeypatch.setattr(caller, "_TABLES", (tmp_path / "tcp", tmp_path / "tcp6"))

    return write


LOCAL = ("127.0.0.1", 40000), ("127.0.0.1", 8000)
OURS = os.geteuid()


def test_our_own_and_root_s_sockets_are_ours(listed):
    for uid in (OURS, 0):
        listed(line(V4, uid=uid))
        assert caller.whose(Connection(*LOCAL)) == uid


def test_a_caller_that_has_closed_its_half_is_known_still(listed):
    for state in ("01", "04", "05"):
        listed(line(V4, uid=OURS, state=state))
        assert caller.whose(Connection(*LOCAL)) == OURS


def test_the_user_of_whom_a_namespace_knows_nothing_is_nobody(
    listed, monkeypatch: pytest.MonkeyPatch
):
    listed(line(V4, uid=65534))
    monkeypatch.setattr(os, "geteuid", lambda: 65534)

    assert caller.whose(Connection(*LOCAL)) is None


def test_a_socket_that_is_gone_before_the_look_is_nobody_s(listed):
    class Gone:
        def getpeername(self) -> Name:
            raise OSError("not connected")

    listed(line(V4, uid=OURS))
    assert caller.whose(Gone()) is None


@pytest.mark.parametrize(
    "lines",
    [
        "",
        line(("zz00007F:9C40", V4[1]), uid=OURS),
        line(V4, uid=OURS + 1000),
        line(V4, uid=65534),
        line(V4, uid=0, inode=0),
        line(V4, uid=OURS, inode=0),
        line(V4, uid=0, state="06"),
        line(V4, uid=0, state="02"),
        line(V4, uid=OURS) + line(V4, uid=OURS),
        line((V4[1], V4[0]), uid=OURS),
        line((V4[0], "0100007F:1F41"), uid=OURS),
        line(("0200007F:9C40", V4[1]), uid=OURS),
        "nonsense\n",
    ],
)
def test_everything_else_is_not(listed, lines: str):
    listed(lines)

    assert caller.whose(Connection(*LOCAL)) is None


def test_an_ipv4_caller_of_a_listener_of_both_stands_among_those_of_ipv4(listed):
    listed(line(V4, uid=OURS))
    dual = ("::ffff:127.0.0.1", 40000, 0, 0), ("::ffff:127.0.0.1", 8000, 0, 0)

    assert caller.whose(Connection(*dual)) in (0, OURS)


def test_an_ipv6_socket_that_calls_over_ipv4_stands_among_those_of_ipv6(listed):
    listed("", line((f"{MAPPED}:9C40", f"{MAPPED}:1F40"), uid=OURS))

    assert caller.whose(Connection(*LOCAL)) in (0, OURS)


def test_ipv6_is_read_in_the_kernel_s_order(listed):
    listed("", line((f"{V6}:9C40", f"{V6}:1F40"), uid=OURS))

    assert caller.whose(Connection(("::1", 40000, 0, 0), ("::1", 8000, 0, 0))) in (0, OURS)


def test_a_connection_that_is_gone_after_the_look_is_nobody_s(listed):
    listed(line(V4, uid=OURS))

    assert caller.whose(Connection(*LOCAL, later=("127.0.0.1", 40001))) is None


def test_a_machine_without_ipv6_or_without_proc_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "tcp").write_text(HEAD + line(V4, uid=OURS))
    monkeypatch.setattr(caller, "_TABLES", (tmp_path / "tcp", tmp_path / "tcp6"))
    assert caller.whose(Connection(*LOCAL)) in (0, OURS)

    monkeypatch.setattr(caller, "_TABLES", (tmp_path / "none",))
    assert caller.whose(Connection(*LOCAL)) is None


@pytest.mark.parametrize("torn", ["", line(V4, uid=OURS) + line(V4, uid=OURS)])
def test_a_table_that_changed_while_it_was_read_is_read_again(
    torn: str, monkeypatch: pytest.MonkeyPatch
):
    readings = [HEAD + line(V4, uid=OURS), HEAD + torn]

    class Table:
        def exists(self) -> bool:
            return True

        def read_text(self, _encoding: str) -> str:
            return readings.pop()

    monkeypatch.setattr(caller, "_TABLES", (Table(),))

    assert caller.whose(Connection(*LOCAL)) in (0, OURS)
