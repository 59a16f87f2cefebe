"""Use cases of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gtsd.badges import operations as badges
from gtsd.badges.operations import Deed
from gtsd.errors import BadRequest, Conflict, NotFound, Unauthenticated
from gtsd.stores.postgres import ConstraintViolated
from gtsd.streaks import operations as streaks
from gtsd.tasks import queries as q
from gtsd.tasks import series
from gtsd.tasks.types import (
    Deletion,
    NewEvidence,
    NewTask,
    Skip,
    TaskChange,
    TaskQuery,
    TodayQuery,
)
from gtsd.web.answers import encode
from gtsd.web.fields import Page

if TYPE_CHECKING:
    from gtsd.stores.cache import Cache, CacheRead
    from gtsd.stores.postgres import Postgres, Session, Transaction

_WHOLE_DAY: Final = TodayQuery()


@dataclass(frozen=True, slots=True)
class Person:
    """Whose tasks, and the moment: the day where they are and the time everywhere."""

    id: int
    today: date
    now: datetime


async def today(
    postgres: Postgres,
    cache: Cache,
    person: Person,
    query: TodayQuery,
    found: CacheRead | None = None,
) -> bytes:
    """A day's tasks with totals and the streak; the page that everybody asks for is cached."""

    async def load() -> bytes:
        text: str = await postgres.value(
            q.TODAY,
            user_id=person.id,
            day=query.date or person.today,
            today=person.today,
            type=query.type,
            limit=query.limit,
            offset=query.offset,
        )
        return text.encode()

    if query == _WHOLE_DAY:
        mark = person.today.isoformat().encode()
        return await cache.fetch(person.id, "today", load, mark=mark, found=found)
    return await load()


async def find(session: Session, person: Person, query: TaskQuery) -> bytes:
    """A page of tasks."""
    text: str = await session.value(
        q.TASKS,
        user_id=person.id,
        type=query.type,
        status=query.status,
        limit=query.limit,
        offset=query.offset,
        **{"from": query.from_, "to": query.to},
    )
    return text.encode()


async def show(session: Session, user_id: int, task_id: int) -> bytes:
    """One task; raises NotFound, also for another user's."""
    text: str | None = await session.value(q.TASK, user_id=user_id, id=task_id)
    if text is None:
        raise NotFound
    return text.encode()


async def add(tx: Transaction, person: Person, new: NewTask) -> bytes:
    """A task of one's own and, where it repeats, the next weeks of it."""
    return await show(tx, person.id, await add_id(tx, person, new))


async def add_id(tx: Transaction, person: Person, new: NewTask) -> int:
    """As ``add``, for its id alone."""
    day = new.due_date or person.today
    if new.repeat is not None and day < person.today:
        raise BadRequest(
            "A repeated task starts today or later.",
            code="invalid_fields",
            fields={"dueDate": f"must not be before today, {person.today}, for a repeated task"},
        )
    day = series.first_day(day, new.repeat)
    await streaks.lock(tx, person.id, person.today)
    task_id: int = await tx.value(
        q.ADD,
        user_id=person.id,
        type=new.type,
        title=new.title,
        description=new.description,
        due_date=day,
        due_time=new.due_time,
        priority=new.priority,
        metadata=encode(new.metadata).decode(),
        now=person.now,
    )
    if new.repeat is not None:
        await series.start(tx, person.id, task_id, new.repeat, person.today, person.now)
    await _recount(tx, person, {day}, and_later=new.repeat is not None)
    return task_id


async def change(tx: Transaction, person: Person, task_id: int, given: TaskChange) -> bytes:
    """Change a task, and with ``repeat`` what follows it; raises NotFound, Conflict."""
    day, status, series_id = await _state(tx, person, task_id)
    values: dict[str, Any] = {
        name: None if value is msgspec.UNSET else value
        for name, value in msgspec.structs.asdict(given).items()
    }
    if values["metadata"] is not None:
        values["metadata"] = encode(values["metadata"]).decode()
    try:
        await tx.execute(
            q.CHANGE,
            user_id=person.id,
            id=task_id,
            sets_description=given.description is not msgspec.UNSET,
            sets_due_time=given.due_time is not msgspec.UNSET,
            now=person.now,
            **values,
        )
    except ConstraintViolated as error:
        raise _same_day(error) from None
    if isinstance(given.status, str) and given.status != status:
        await _set_status(tx, person, task_id, given.status)
    if given.repeat is not msgspec.UNSET:
        if series_id is not None:
            await series.end(tx, person.id, series_id, day)
        if given.repeat is not None:
            await series.start(tx, person.id, task_id, given.repeat, person.today, person.now)
    days = {day, values["due_date"] or day}
    await _recount(tx, person, days, and_later=given.repeat is not msgspec.UNSET)
    await badges.award(tx, person.id, person.today, person.now, Deed.DAY_CHANGED)
    return await show(tx, person.id, task_id)


async def delete(tx: Transaction, person: Person, task_id: int, how: Deletion) -> None:
    """Delete a task and its evidence, and with ``following`` end its series before it."""
    day, _, series_id = await _state(tx, person, task_id)
    following = how.scope == "following"
    if series_id is not None and following:
        await series.end(tx, person.id, series_id, day)
    await tx.execute(q.DELETE, user_id=person.id, id=task_id)
    await _recount(tx, person, {day}, and_later=following)
    await badges.award(tx, person.id, person.today, person.now, Deed.DAY_CHANGED)


async def complete(tx: Transaction, person: Person, task_id: int) -> bytes:
    """Done. A task that is completed stays as it is."""
    day, status, _ = await _state(tx, person, task_id)
    if status != "completed":
        await _set_status(tx, person, task_id, "completed")
        await _recount(tx, person, {day})
        await badges.award(tx, person.id, person.today, person.now, Deed.COMPLETED)
    return await show(tx, person.id, task_id)


async def uncomplete(tx: Transaction, person: Person, task_id: int) -> bytes:
    """Not done, or not skipped, after all. A task that is open stays as it is."""
    day, status, _ = await _state(tx, person, task_id)
    if status in ("completed", "skipped"):
        await _set_status(tx, person, task_id, "pending")
        await _recount(tx, person, {day})
    return await show(tx, person.id, task_id)


async def skip(tx: Transaction, person: Person, task_id: int, given: Skip) -> bytes:
    """Not today; raises Conflict for a completed task."""
    day, status, _ = await _state(tx, person, task_id)
    if status == "completed":
        raise Conflict("A completed task cannot be skipped.", code="task_completed")
    if status != "skipped":
        await _set_status(tx, person, task_id, "skipped", given.reason)
        await _recount(tx, person, {day})
        await badges.award(tx, person.id, person.today, person.now, Deed.DAY_CHANGED)
    return await show(tx, person.id, task_id)


async def give_evidence(session: Session, person: Person, given: NewEvidence) -> bytes:
    """Keep the proof and complete the task. A day's streak is raised by its first time only."""
    row = await session.row(
        q.GIVE_EVIDENCE,
        user_id=person.id,
        task_id=given.task_id,
        type=given.type,
        data=encode(_present(given)).decode(),
        notes=given.notes,
        today=person.today,
        now=person.now,
        catalogue=Deed.EVIDENCE,
    )
    if row is None:
        raise Unauthenticated
    text: str | None = row[0]
    if text is None:
        raise NotFound
    return text.encode()


async def show_evidence(session: Session, user_id: int, task_id: int, page: Page) -> bytes:
    """A page of a task's proofs; raises NotFound, also for another user's task."""
    text: str | None = await session.value(
        q.EVIDENCE, user_id=user_id, id=task_id, limit=page.limit, offset=page.offset
    )
    if text is None:
        raise NotFound
    return text.encode()


async def _state(tx: Transaction, person: Person, task_id: int) -> tuple[date, str, int | None]:
    """Day, status and series of a task. The streak is locked first, always: no deadlocks."""
    await streaks.lock(tx, person.id, person.today)
    row = await tx.row(q.STATE, user_id=person.id, id=task_id)
    if row is None:
        raise NotFound
    return row


async def _set_status(
    tx: Transaction, person: Person, task_id: int, status: str, reason: str | None = None
) -> None:
    await tx.execute(
        q.SET_STATUS,
        user_id=person.id,
        id=task_id,
        status=status,
        reason=reason,
        now=person.now,
    )


async def _recount(
    tx: Transaction, person: Person, days: set[date], *, and_later: bool = False
) -> None:
    """Count days again; ``and_later`` where tasks of a series came or went after them."""
    if and_later:
        await streaks.count_from(tx, person.id, min(days | {person.today}), person.today)
    for day in sorted(days):
        await streaks.count_day(tx, person.id, day, person.today)


def _present(given: NewEvidence) -> dict[str, Any]:
    data = {
        "text": given.data.text,
        "metrics": given.data.metrics,
        "photoUrl": given.data.photo_url,
    }
    return {name: value for name, value in data.items() if value is not None}


def _same_day(error: ConstraintViolated) -> Exception:
    if error.constraint == "tasks_series_day":
        return Conflict("That day has a task of this series already.", code="day_taken")
    return error
