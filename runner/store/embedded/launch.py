"""Become somebody whom PostgreSQL accepts, then become the program. Run as a script, alone.

    python -I -S launch.py IDENTITY check PATH...
    python -I -S launch.py IDENTITY run PROGRAM ARGUMENT...
    python -I -S launch.py IDENTITY detach PROGRAM ARGUMENT...

IDENTITY is `self`, `userns:UID` or `setuid:UID:GID`. `check` ends 0 if every path can be entered
or read under that identity. `detach` leaves the terminal and the parent behind: the program is
adopted by init, so that it never lingers as the zombie of whoever started it (PostgreSQL would
take the zombie of its predecessor for a running server).

A process of its own because the identity of a process cannot be changed in one thread only, and
because code between fork and exec must not run in a process with threads.
"""

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> int:
    """Do what the module's text says; exits 3 if the identity cannot be taken."""
    identity, action, *rest = arguments
    try:
        become(identity)
    except OSError as error:
        print(f"cannot become {identity}: {error.strerror or error}", file=sys.stderr)
        return 3
    if action == "check":
        return 0 if all(can_open(path) for path in rest) else 4
    if action == "detach" and os.fork():
        return 0
    if action == "detach":
        os.setsid()
    return os.execv(rest[0], rest)  # noqa: S606 - no shell is wanted


def can_open(path: str) -> bool:
    """Find out by trying: access(2) would ignore the capability that `change_user` keeps."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def become(identity: str) -> None:
    """Take the identity; the environment of files stays readable to it."""
    kind, *numbers = identity.split(":")
    if kind == "userns":
        enter_user_namespace(int(numbers[0]))
    elif kind == "setuid":
        change_user(int(numbers[0]), int(numbers[1]))


def enter_user_namespace(uid: int) -> None:
    """Call ourselves `uid` in a namespace of our own; to the files we stay who we are."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise OSError(0, "this system has no user namespaces")
    if libc.unshare(CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"user namespaces are not permitted ({os.strerror(code)})")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {outer_uid} 1")
    _write("/proc/self/gid_map", f"{uid} {outer_gid} 1")


def change_user(uid: int, gid: int) -> None:
    """Become another user for good, keeping one right of root: to pass any folder.

    The programs and the data may lie below a folder that only root can enter, such as /root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform == "linux"
    if linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if linux:
        _keep_only(libc, CAP_DAC_OVERRIDE)


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    # Where this fails (root without that right itself) the later check says whether it matters.
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable
    if libc.capset(header, data) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text.encode())
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
