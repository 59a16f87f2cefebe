"""What clients send and get about tasks and their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from gtsd.streaks.types import Streak
from gtsd.web.fields import (
    END,
    Day,
    DayRange,
    Id,
    Input,
    Output,
    Page,
    Pagination,
    Timestamp,
    Url,
    day_problems,
)

TaskType = Literal[
    "workout",
    "supplement",
    "meal",
    "hydration",
    "cardio",
    "weight_log",
    "progress_photo",
    "custom",
]
Status = Literal["pending", "in_progress", "completed", "skipped"]
Priority = Literal["low", "medium", "high"]
Repeat = Literal["daily", "weekdays"]
EvidenceType = Literal["text_log", "metrics", "photo_reference"]

Title = Annotated[
    str,
    Meta(
        pattern=r"^[\s\S]*\S[\s\S]*$",
        min_length=1,
        max_length=200,
        description="a title of 1 to 200 characters, not only blanks",
        examples=["Read ten pages"],
    ),
]
Text = Annotated[str, Meta(max_length=2000)]
TimeOfDay = Annotated[
    str,
    Meta(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]" + END,
        description="a time of day, HH:MM",
        examples=["06:15"],
    ),
]
Metadata = Annotated[
    dict[str, Any],
    Meta(max_length=50, description="Anything of your own, up to 16,384 bytes as JSON."),
]
_METADATA_BYTES: Final = 16_384
Reason = Annotated[str, Meta(max_length=500)]


def _metadata_problems(metadata: dict[str, Any] | UnsetType) -> dict[str, str]:
    if metadata is UNSET or _shown_bytes(metadata) <= _METADATA_BYTES:
        return {}
    return {"metadata": f"must not be larger than {_METADATA_BYTES} bytes as JSON"}


def _shown_bytes(value: Any) -> int:
    """The length of a value as the database shows it, or more: 1e308 with all of its 309 digits."""
    if isinstance(value, dict):
        return sum(_shown_bytes(name) + _shown_bytes(item) for name, item in value.items())
    if isinstance(value, list):
        return sum(map(_shown_bytes, value)) + 2
    if isinstance(value, float):
        return len(f"{Decimal(repr(value)):f}") + 2
    return len(msgspec.json.encode(value)) + 2


class NewTask(Input, frozen=True):
    """A task of one's own, once or repeated; due today when no day is given."""

    title: Title
    type: TaskType = "custom"
    description: Text | None = None
    due_date: Day | None = None
    due_time: TimeOfDay | None = None
    priority: Priority = "medium"
    repeat: Repeat | None = None
    metadata: Metadata = field(default_factory=dict)

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life, and metadata that are too large."""
        return day_problems(dueDate=self.due_date) | _metadata_problems(self.metadata)


class TaskChange(Input, frozen=True):
    """Fields to change; those left out stay. ``repeat: null`` ends the series after this task."""

    title: Title | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    due_date: Day | UnsetType = UNSET
    due_time: TimeOfDay | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    status: Literal["pending", "in_progress"] | UnsetType = UNSET
    repeat: Repeat | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life, and metadata that are too large."""
        return day_problems(dueDate=self.due_date) | _metadata_problems(self.metadata)


class Skip(Input, frozen=True):
    """Why, if one wants to say."""

    reason: Reason | None = None


class Deletion(Input, frozen=True):
    """How much of a repeated task goes: this one, or this one and all later ones."""

    scope: Literal["one", "following"] = "one"


class TodayQuery(Page, frozen=True):
    """Which day, and what of it."""

    date: Day | None = None
    type: TaskType | None = None

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life."""
        return day_problems(date=self.date)


class TaskQuery(DayRange, frozen=True, rename={"from_": "from"}):
    """Which tasks."""

    type: TaskType | None = None
    status: Status | None = None


class EvidenceData(Input, frozen=True):
    """``text`` for a text_log, ``metrics`` for metrics, ``photoUrl`` for a photo_reference."""

    text: Annotated[str, Meta(min_length=1, max_length=2000)] | None = None
    metrics: (
        Annotated[
            dict[Annotated[str, Meta(min_length=1, max_length=64)], float],
            Meta(min_length=1, max_length=50),
        ]
        | None
    ) = None
    photo_url: Url | None = None


_FIELD_OF: Mapping[str, str] = {
    "text_log": "text",
    "metrics": "metrics",
    "photo_reference": "photoUrl",
}


class NewEvidence(Input, frozen=True):
    """Proof that a task was done; it completes the task."""

    task_id: Id
    type: EvidenceType
    data: EvidenceData
    notes: Text | None = None

    def problems(self) -> Mapping[str, str]:
        """Data that is not of the type."""
        given = {
            "text": self.data.text,
            "metrics": self.data.metrics,
            "photoUrl": self.data.photo_url,
        }
        wanted = _FIELD_OF[self.type]
        problems = {
            f"data.{name}": f"does not belong to {self.type}"
            for name, value in given.items()
            if value is not None and name != wanted
        }
        if given[wanted] is None:
            problems[f"data.{wanted}"] = f"is required for {self.type}"
        return problems


class Evidence(Output):
    """One proof, as it was given."""

    id: Id
    task_id: Id
    type: EvidenceType
    data: dict[str, Any]
    notes: str | None
    created_at: Timestamp


class Task(Output):
    """One thing to do on one day."""

    id: Id
    type: TaskType
    title: str
    description: str | None
    due_date: Day
    due_time: TimeOfDay | None
    status: Status
    priority: Priority
    repeat: Repeat | None
    completed_at: Timestamp | None
    skipped_at: Timestamp | None
    skip_reason: str | None
    metadata: dict[str, Any]
    evidence: Annotated[
        list[Evidence],
        Meta(max_length=20, description="The last 20, oldest first; the evidence route has all."),
    ]
    created_at: Timestamp
    updated_at: Timestamp


class Today(Output):
    """A day's tasks. Totals are of the whole day, whatever the page and the type."""

    date: Day
    total_tasks: int
    completed_tasks: int
    completion_percentage: int
    tasks_by_type: dict[TaskType, list[Task]]
    streak: Streak
    pagination: Pagination


class Tasks(Output):
    """A page of tasks, by day, time and id."""

    tasks: list[Task]
    pagination: Pagination


class EvidenceGiven(Output):
    """The completed task, the proof, and what it did to the current streak."""

    task: Task
    evidence: Evidence
    streak_updated: bool
    new_streak: Annotated[int, Meta(description="The current streak after it, in days.")]


class EvidencePage(Output):
    """A page of a task's proofs, the first one first."""

    evidence: list[Evidence]
    pagination: Pagination
