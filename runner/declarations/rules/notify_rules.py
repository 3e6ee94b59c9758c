"""Rules for `notify`, beyond its schema."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.declarations.config import Settings
from headrace.declarations.config.notifications import notify_of, unknown_receivers
from headrace.declarations.draft import Draft, Finding


def receivers_exist(draft: Draft) -> Iterator[Finding]:
    """A `notify` names receivers of the configuration."""
    receivers = draft.settings.notifications.receivers
    for path, notify in draft.notifies():
        for fault in unknown_receivers(notify, path, receivers):
            yield Finding(*fault)


def somebody_is_told(
    data: Mapping[str, Any], outer: Sequence[Mapping[str, Any]], settings: Settings
) -> Iterator[Finding]:
    """A file's `notify` that says of what to tell has somebody to tell: here or in its folders."""
    own = data.get("notify")
    if not isinstance(own, dict) or "to" in own:
        return
    base = settings.notify
    layers: list[Mapping[str, Any] | None] = [{"to": base.to}] if base else []
    layers += [layer["notify"] for layer in outer if "notify" in layer]
    if notify_of(*layers, own) is None:
        message = "`notify` names no receiver, and neither does a _defaults.yaml or config.yaml"
        yield Finding(("notify",), "missing-key", message, "add `to: [name]`", True)
