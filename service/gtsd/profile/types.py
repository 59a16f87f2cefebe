"""What clients send and get about profiles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from gtsd.accounts.types import Email, Name, Phone
from gtsd.plans.formulas import ActivityLevel, Gender, Goal
from gtsd.plans.types import DailyTargets
from gtsd.web.fields import Day, Id, Input, Output, Pagination, Timestamp, day_problems

Weight = Annotated[
    float, Meta(ge=30, le=300, description="kg, kept to two decimals", examples=[85.55])
]
Height = Annotated[
    float, Meta(ge=100, le=250, description="cm, kept to two decimals", examples=[175])
]
BirthDate = Annotated[
    Day, Meta(description="a day 13 to 120 years ago, YYYY-MM-DD", examples=["1990-05-17"])
]
TargetDate = Annotated[Day, Meta(description="a day after today", examples=["2027-06-30"])]
Words = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=50)]],
    Meta(max_length=20, description="Up to 20 of up to 50 characters.", examples=[["vegetarian"]]),
]
MealsPerDay = Annotated[int, Meta(ge=1, le=10)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Grows with each change of them.")]


class Partner(Input, frozen=True):
    """Somebody who helps to keep going; reached by email, phone or both."""

    name: Name
    email: Email | None = None
    phone: Phone | None = None
    relationship: Annotated[str, Meta(min_length=1, max_length=50)] | None = None


Partners = Annotated[list[Partner], Meta(max_length=10)]


def _partner_problems(partners: list[Partner] | UnsetType) -> dict[str, str]:
    if partners is UNSET:
        return {}
    return {
        f"partners[{number}].email": "is required where there is no phone"
        for number, partner in enumerate(partners)
        if partner.email is None and partner.phone is None
    }


class Onboarding(Input, frozen=True):
    """All that plans are made from. Sent again, it replaces what was said before."""

    date_of_birth: BirthDate
    gender: Gender
    primary_goal: Goal
    current_weight: Weight
    target_weight: Weight
    height: Height
    target_date: TargetDate
    activity_level: ActivityLevel
    dietary_preferences: Words = field(default_factory=list)
    allergies: Words = field(default_factory=list)
    meals_per_day: MealsPerDay = 3
    partners: Partners = field(default_factory=list)

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life, and partners that cannot be reached."""
        return day_problems(targetDate=self.target_date) | _partner_problems(self.partners)


class DemographicsChange(Input, frozen=True):
    """Fields to change; those left out stay."""

    date_of_birth: BirthDate | UnsetType = UNSET
    gender: Gender | UnsetType = UNSET
    height: Height | UnsetType = UNSET


class HealthChange(Input, frozen=True):
    """Fields to change; those left out stay."""

    current_weight: Weight | UnsetType = UNSET
    activity_level: ActivityLevel | UnsetType = UNSET


class GoalsChange(Input, frozen=True):
    """Fields to change; those left out stay."""

    primary_goal: Goal | UnsetType = UNSET
    target_weight: Weight | UnsetType = UNSET
    target_date: TargetDate | UnsetType = UNSET


class PreferencesChange(Input, frozen=True):
    """Fields to change; those left out stay, lists are replaced as a whole."""

    dietary_preferences: Words | UnsetType = UNSET
    allergies: Words | UnsetType = UNSET
    meals_per_day: MealsPerDay | UnsetType = UNSET
    partners: Partners | UnsetType = UNSET


class ProfileChange(Input, frozen=True):
    """Groups of fields to change; targets follow from the others and cannot be set."""

    demographics: DemographicsChange = field(default_factory=DemographicsChange)
    health: HealthChange = field(default_factory=HealthChange)
    goals: GoalsChange = field(default_factory=GoalsChange)
    preferences: PreferencesChange = field(default_factory=PreferencesChange)

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life, and partners that cannot be reached."""
        days = day_problems(**{"goals.targetDate": self.goals.target_date})
        partners = _partner_problems(self.preferences.partners)
        return days | {f"preferences.{path}": what for path, what in partners.items()}


class Demographics(Output):
    """Who it is."""

    date_of_birth: Day
    age: Annotated[int, Meta(description="Whole years, today.")]
    gender: Gender
    height: Height


class Health(Output):
    """How it stands."""

    current_weight: Weight
    activity_level: ActivityLevel
    bmi: Annotated[float, Meta(description="kg/m², two decimals.")]


class Goals(Output):
    """Where it goes."""

    primary_goal: Goal
    target_weight: Weight
    target_date: Day


class Preferences(Output):
    """How it is liked."""

    dietary_preferences: Words
    allergies: Words
    meals_per_day: int
    partners: list[Partner]


class Profile(Output):
    """All groups; ``targets`` are those of today, which a plan may be a little behind."""

    demographics: Demographics
    health: Health
    goals: Goals
    preferences: Preferences
    targets: DailyTargets


class FieldChange(Output):
    """A field by its path, such as ``health.currentWeight``, and its values."""

    field: str
    before: Any
    after: Any


class ProfileChanged(Profile):
    """The profile after a change, what changed, targets included, and whether the plan did."""

    plan_updated: bool
    changes: list[FieldChange]


class AuditedChange(FieldChange):
    """One change of one field."""

    id: Id
    changed_at: Timestamp


class Audit(Output):
    """A page of changes, the newest first."""

    changes: list[AuditedChange]
    pagination: Pagination


class Metrics(DailyTargets):
    """The numbers of a body."""

    bmi: float


class TodaysMetrics(Output):
    """The numbers of today, and whether their owner has seen them."""

    date: Day
    version: Version
    metrics_computed_at: Annotated[
        Timestamp, Meta(description="When that changed from which they are computed.")
    ]
    metrics: Metrics
    acknowledged: bool
    acknowledged_at: Timestamp | None


class Acknowledgement(Input, frozen=True):
    """Which numbers were seen, as ``/v1/profile/metrics/today`` told them."""

    version: Version
    metrics_computed_at: Annotated[
        datetime,
        Meta(
            tz=True,
            description="a moment as in RFC 3339, with its offset",
            examples=["2026-11-22T18:39:44.123Z"],
        ),
    ]


class Acknowledged(Output):
    """Since when these numbers have been seen; the first time counts."""

    version: Version
    metrics_computed_at: Timestamp
    acknowledged_at: Timestamp


class Explained(Output):
    """One number, and where it comes from."""

    name: Annotated[str, Meta(examples=["bmr"])]
    value: float | None
    unit: Annotated[str, Meta(examples=["kcal/day"])]
    formula: Annotated[str, Meta(description="In general.")]
    calculation: Annotated[str, Meta(description="With one's own numbers.")]
    explanation: str


class HowItWorks(Output):
    """One's numbers, each with its explanation."""

    numbers: list[Explained]
