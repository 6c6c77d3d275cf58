"""Times of a site: windows, blackouts, and the time zone that they are read in."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fleet.model.base import Many, Model

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""Local time of day, `22:00`."""

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _in_the_calendar(value: str) -> str:
    year, month, day = map(int, value.split("-"))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _DAYS[month - 1] or (month == 2 and day == 29 and not leap):
        raise ValueError(f"{value} is no day of the calendar")
    return value


Date = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"),
    AfterValidator(_in_the_calendar),
]
"""A day, `2026-11-21`."""

TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z]+(/[-_+A-Za-z0-9]+){0,2}$")]
"""An IANA name, `Europe/Vienna`."""


class Window(Model):
    """A part of the week, in the site's time zone (requirements A4, N9)."""

    days: Annotated[Many[Day], Field(min_length=1)]
    """The days on which it opens."""
    start: ClockTime
    minutes: Annotated[int, Field(ge=1, le=10_080)]
    """How long it stays open; it may go past midnight. At most a week."""


class Blackout(Model):
    """Days on which nothing is changed, both included (requirements A4, N9)."""

    start: Date
    end: Date
    reason: str


class Maintenance(Model):
    """When a site may be changed (requirements N1, N9)."""

    time_zone: TimeZone
    windows: Annotated[Many[Window], Field(min_length=1)]
    """When the platform and the inference runtime may be changed."""
    blackouts: Many[Blackout] = ()
