"""Says what the configuration lets jobs reach beyond their databases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Permissions:
    """Rights that the configuration gives to jobs beyond their databases: by default none.

    `allowed_hosts` are the hosts that jobs may speak to over HTTP, as `http.allowed_hosts` has
    them, `storage` the places of files beyond the machine, with what opens them; `shell_commands`
    says whether they may start programs.
    """

    shell_commands: bool = False
    allowed_hosts: tuple[str, ...] = ()
    storage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
