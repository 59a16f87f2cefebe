"""Types that several features' requests and answers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from gtsd.web.routes import MAX_ID

# The end of a pattern. `$` alone also matches before a final newline in Python, and not so in the
# document's dialect (ECMA-262); for the same reason digits are [0-9], never \d.
END: Final = r"(?!\n)$"

Id = Annotated[int, Meta(ge=1, le=MAX_ID, description="Identifies one of your own things.")]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{3}Z" + END,
        description="A moment: RFC 3339, UTC, milliseconds.",
        examples=["2026-11-22T18:39:44.123Z"],
    ),
]
Day = Annotated[date, Meta(description="a calendar day, YYYY-MM-DD", examples=["2026-11-22"])]
Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#@\\]+([/?#]\S*)?" + END,
        max_length=2048,
        description="an http or https address",
        examples=["https://photos.example.org/1.jpg"],
    ),
]

FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2100, 12, 31)


def day_problems(**days: object) -> dict[str, str]:
    """What is wrong with days that are far from any person's life, by field."""
    return {
        name: f"must be from {FIRST_DAY} to {LAST_DAY}"
        for name, day in days.items()
        if isinstance(day, date) and not FIRST_DAY <= day <= LAST_DAY
    }


class Input(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """A request body or query: unknown fields are refused by name."""


class Output(Struct, rename="camel", kw_only=True):
    """Data of an answer."""


class Page(Input, frozen=True):
    """Which part of a list."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Items at most.")] = 50
    offset: Annotated[int, Meta(ge=0, le=1_000_000_000, description="Items to skip.")] = 0


class Pagination(Output):
    """Where a page lies in its list."""

    limit: int
    offset: int
    total: Annotated[int, Meta(ge=0, description="Items in the whole list.")]
    has_more: bool


class Nothing(Input, frozen=True):
    """An empty object, or no body at all."""


class Done(Output):
    """Nothing more to say than that it was done."""

    done: Literal[True]


DONE: Final = b'{"done":true}'


class DayRange(Page, frozen=True):
    """Days from and to, both included."""

    from_: Day | None = None
    to: Day | None = None

    def problems(self) -> Mapping[str, str]:
        """A range that ends before it starts, or is out of bounds."""
        problems = day_problems(**{"from": self.from_, "to": self.to})
        if self.from_ and self.to and self.to < self.from_:
            problems["to"] = "must not be before from"
        return problems
