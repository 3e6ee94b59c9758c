"""Holidays and working days: which days a schedule's calendar counts.

The only package that imports the holidays library, and only once a country is named.
"""

from runner.calendars.countries import check_country, check_subdivision
from runner.calendars.days import CountedDays

__all__ = ["CountedDays", "check_country", "check_subdivision"]
