"""Holidays and working days: which days a schedule's calendar counts.

The only package that imports the holidays library, and only once a country is named.
"""

from headrace.plan.calendars.countries import check_country, check_subdivision
from headrace.plan.calendars.days import CountedDays

__all__ = ["CountedDays", "check_country", "check_subdivision"]
