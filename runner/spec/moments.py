"""Days and moments as a schedule has them: `2026-01-31`, `2026-01-31T06:00`."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def moment(text: str, zone: str) -> datetime:
    """Return the moment in UTC. A text without an offset is on the clock of `zone`.

    Raises:
        ValueError: there is no such day or time.
    """
    written = datetime.fromisoformat(text)
    aware = written if written.tzinfo else written.replace(tzinfo=ZoneInfo(zone))
    return aware.astimezone(UTC)
