"""The person that a developer meets at the first start, made by the API's own use cases."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple

from gtsd.accounts import queries as accounts
from gtsd.accounts.passwords import Argon2Passwords
from gtsd.clock import Clock
from gtsd.plans import operations as plans
from gtsd.plans.people import Here
from gtsd.profile import operations as profile
from gtsd.profile.types import Onboarding, Partner
from gtsd.stores.postgres import Postgres, Query
from gtsd.tasks import operations as tasks
from gtsd.tasks.operations import Person
from gtsd.tasks.types import EvidenceData, EvidenceType, NewEvidence, NewTask, TaskType

EMAIL: Final = "demo@example.com"
PASSWORD: Final = "Demo-person-1"  # noqa: S105 - printed at every start, on a private server only
_DAYS: Final = 14
_DAY_OFF: Final = 9  # that many days ago only half was done, so that the streak has a past


class _Habit(NamedTuple):
    title: str
    type: TaskType
    due: str
    evidence: EvidenceType
    data: EvidenceData


_HABITS: Final = (
    _Habit(
        "Morning stretch",
        "workout",
        "06:30",
        "text_log",
        EvidenceData(text="Twenty minutes, knees feel better"),
    ),
    _Habit(
        "Two litres of water",
        "hydration",
        "12:00",
        "metrics",
        EvidenceData(metrics={"millilitres": 2000}),
    ),
    _Habit(
        "Cook at home",
        "meal",
        "18:30",
        "photo_reference",
        EvidenceData(photo_url="https://photos.example.com/lentil-soup.jpg"),
    ),
    _Habit("Read ten pages", "custom", "21:30", "text_log", EvidenceData(text="Chapter four")),
)

_LAST_DAY: Final = Query(
    "demo_last_day",
    """
    SELECT max(due_date) FROM tasks
    WHERE user_id = %(user_id)s AND due_date <= %(today)s AND plan_slot IS NULL
    """,
)
_PLANNED: Final = Query(
    "demo_planned",
    """
    SELECT id FROM tasks
    WHERE user_id = %(user_id)s AND due_date = %(day)s AND plan_slot IS NOT NULL
        AND status = 'pending'
    """,
)
_IS_ONBOARDED: Final = Query(
    "demo_is_onboarded",
    "SELECT EXISTS (SELECT FROM health_profiles WHERE user_id = %(user_id)s)",
)
_OPEN_TASK: Final = Query(
    "demo_open_task",
    """
    SELECT id FROM tasks
    WHERE user_id = %(user_id)s AND due_date = %(today)s AND status = 'pending'
    ORDER BY id DESC LIMIT 1
    """,
)


class DemoPerson(NamedTuple):
    """Who can sign in, and a task due today that is still to do."""

    email: str
    password: str
    task_id: int


async def fill(postgres: Postgres, clock: Clock) -> DemoPerson:
    """Two weeks of tasks, a live streak, a profile and this week's plan.

    Called at every start, it adds what is missing.
    """
    today = clock.today("UTC")
    user_id = await _person(postgres, today)
    last = await postgres.value(_LAST_DAY, user_id=user_id, today=today)
    first = max(today - timedelta(days=_DAYS), last + timedelta(days=1) if last else date.min)
    for age in range((today - first).days, -1, -1):
        await _live(postgres, user_id, today - timedelta(days=age), clock.now(), age)
    await _plan(postgres, Here.of(user_id, "UTC", clock.now()))
    task_id = await postgres.value(_OPEN_TASK, user_id=user_id, today=today)
    return DemoPerson(EMAIL, PASSWORD, task_id or await _one_more(postgres, user_id, clock))


async def _person(postgres: Postgres, today: date) -> int:
    found = await postgres.row(accounts.CREDENTIALS, email=EMAIL)
    if found is not None:
        return int(found[0])
    passwords = Argon2Passwords(1)
    try:
        password_hash = await passwords.hash(PASSWORD)
    finally:
        passwords.close()
    added = await postgres.row(
        accounts.ADD_USER,
        email=EMAIL,
        password_hash=password_hash,
        name="Demo Person",
        phone=None,
        timezone="UTC",
        yesterday=today - timedelta(days=1),
    )
    assert added is not None
    return int(added[0])


async def _live(postgres: Postgres, user_id: int, day: date, now: datetime, age: int) -> None:
    """One day: everything done before today, today all but the last thing."""
    done = len(_HABITS) - 1
    if age:
        done = len(_HABITS) // 2 if age == _DAY_OFF else len(_HABITS)
    morning = datetime.combine(day, time(0, 5), UTC)
    async with postgres.transaction() as tx:
        for place, habit in enumerate(_HABITS):
            new = NewTask(title=habit.title, type=habit.type, due_date=day, due_time=habit.due)
            task = await tasks.add_id(tx, Person(user_id, day, min(morning, now)), new)
            if place < done:
                moment = datetime.combine(day, time.fromisoformat(habit.due), UTC)
                given = NewEvidence(task_id=task, type=habit.evidence, data=habit.data)
                await tasks.give_evidence(tx, Person(user_id, day, min(moment, now)), given)

        if age and age != _DAY_OFF:
            for (task,) in await tx.rows(_PLANNED, user_id=user_id, day=day):
                await tasks.complete(tx, Person(user_id, day, now), task)


async def _plan(postgres: Postgres, here: Here) -> None:
    """Onboarding once, and a plan for whatever week it is."""
    words = Onboarding(
        date_of_birth=date(1990, 5, 17),
        gender="male",
        primary_goal="lose_weight",
        current_weight=85.55,
        target_weight=78.0,
        height=175.0,
        target_date=here.today + timedelta(days=180),
        activity_level="very_active",
        dietary_preferences=["vegetarian"],
        partners=[Partner(name="Charles Babbage", email="charles@example.com")],
    )
    async with postgres.transaction() as tx:
        if not await tx.value(_IS_ONBOARDED, user_id=here.user_id):
            await profile.onboard(tx, here, words)
        await plans.generate(tx, here, force=False)


async def _one_more(postgres: Postgres, user_id: int, clock: Clock) -> int:
    """Everything is done: something to try the API on."""
    person = Person(user_id, clock.today("UTC"), clock.now())
    async with postgres.transaction() as tx:
        return await tasks.add_id(tx, person, NewTask(title="Try the API"))
