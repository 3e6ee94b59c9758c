"""Cron expressions and time zones: what a schedule may say, and which instants it means.

Five fields or an @ name, on the wall clock of an IANA time zone. Standard library and
croniter only.
"""

from headrace.plan.cron.expression import CronExpression, compiled
from headrace.plan.cron.fields import CronError, check_cron
from headrace.plan.cron.zones import check_timezone

__all__ = ["CronError", "CronExpression", "check_cron", "check_timezone", "compiled"]
