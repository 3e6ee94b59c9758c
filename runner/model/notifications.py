"""Who is told of the ends and of the lateness of runs, and what counts as late."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAILURE, RECOVERY, LATE, SUCCESS = KINDS = ("failure", "recovery", "late", "success")
# Of a mapping that names receivers only.
DEFAULT_KINDS = (FAILURE, RECOVERY, LATE)


@dataclass(frozen=True, slots=True)
class Notify:
    """Rule of a pipeline: of the kinds `on` all receivers `to` are told."""

    on: tuple[str, ...] = DEFAULT_KINDS
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a run or step may take before it counts as late, in seconds; None sets no limit.

    `deadline_s` counts from the instant at which the run was due, or from its making where none
    was; `duration_s` from the start.
    """

    deadline_s: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver of notifications. `type` is one of webhook, slack, teams and email.

    `secret` signs a webhook; `sender`, `to`, `username`, `password` and `starttls` are of an
    e-mail. `subject`, `text` and `body` are templates of its own; None keeps the standard words.
    What may hold a secret is left out of `repr`.
    """

    name: str
    type: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: str | None = field(default=None, repr=False)
    sender: str = ""
    to: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    starttls: bool = True
    subject: str | None = None
    text: str | None = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """URL that is called every `interval_s` seconds while all is well."""

    url: str = field(repr=False)
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Notifications:
    """The receivers by name, the hosts that may be spoken to, and how often a send is tried.

    A failed send is repeated after `retry_delay_s` seconds, then after twice as long and so on; a
    notification that is older than `give_up_after_s` is given up.
    """

    allowed_hosts: tuple[str, ...] = ()
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    heartbeat: Heartbeat | None = None
    retry_delay_s: float = 5.0
    give_up_after_s: float = 86400.0
