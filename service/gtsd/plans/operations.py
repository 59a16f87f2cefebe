"""Use cases of plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gtsd.errors import Conflict, NotFound
from gtsd.plans import formulas, people, weeks
from gtsd.plans import queries as q
from gtsd.plans.people import Here, Person
from gtsd.plans.weeks import Week
from gtsd.streaks import operations as streaks

if TYPE_CHECKING:
    from gtsd.stores.postgres import Session, Transaction

# What targets may move by without a new plan.
_CALORIES: Final = 50
_PROTEIN: Final = 10


async def generate(tx: Transaction, here: Here, *, force: bool) -> tuple[bytes, bool]:
    """The plan of this week and whether it was made now.

    With ``force`` a new one in any case. Raises Conflict before onboarding.
    """
    await streaks.lock(tx, here.user_id, here.today)
    current = None if force else await _find(tx, here)
    if current is not None:
        return current, False
    person = await people.find_one(tx, here.user_id)
    if person is None:
        raise Conflict(
            "A plan is made from your profile. Send it first: POST /v1/onboarding.",
            code="not_onboarded",
        )
    await weeks.write(tx, [Week.from_now(person, here)], here.now)
    return await show(tx, here), True


async def show(session: Session, here: Here) -> bytes:
    """The plan of today; raises NotFound where there is none."""
    found = await _find(session, here)
    if found is None:
        raise NotFound("No plan covers today. Make one: POST /v1/plans/generate.", code="no_plan")
    return found


async def follow(tx: Transaction, here: Here, person: Person) -> bool:
    """Make a new plan where the targets have moved away from those of today's; gives whether.

    What counts is the plan and not the last change, so that many small changes are followed as
    well. The streak must be locked.
    """
    planned = await tx.row(q.CURRENT_TARGETS, user_id=here.user_id, today=here.today)
    if planned is None:
        return False
    calories, protein = planned
    now = formulas.targets(person.body, here.today)
    if abs(now.calories - calories) <= _CALORIES and abs(now.protein - protein) <= _PROTEIN:
        return False
    await weeks.write(tx, [Week.from_now(person, here)], here.now)
    return True


async def _find(session: Session, here: Here) -> bytes | None:
    text: str | None = await session.value(q.CURRENT, user_id=here.user_id, today=here.today)
    return None if text is None else text.encode()
