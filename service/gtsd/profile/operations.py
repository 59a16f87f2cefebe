"""Use cases of profiles: onboarding, changes with their audit and their plan, the numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gtsd.accounts import operations as accounts
from gtsd.badges import operations as badges
from gtsd.errors import BadRequest, Conflict, NotFound
from gtsd.plans import formulas
from gtsd.plans import operations as plans
from gtsd.plans.people import Here, Person
from gtsd.plans.types import DailyTargets
from gtsd.profile import explained
from gtsd.profile import queries as q
from gtsd.profile.record import PATHS, Difference, Record, differences, given, problems, shown
from gtsd.profile.types import (
    Acknowledgement,
    Demographics,
    FieldChange,
    Goals,
    Health,
    HowItWorks,
    Metrics,
    Onboarding,
    Partner,
    Preferences,
    Profile,
    ProfileChange,
    ProfileChanged,
    TodaysMetrics,
)
from gtsd.streaks import operations as streaks
from gtsd.web.answers import encode

if TYPE_CHECKING:
    from gtsd.stores.postgres import Session, Transaction
    from gtsd.web.fields import Page


class Kept(NamedTuple):
    """A profile as it was found, and which metrics it makes."""

    record: Record
    metrics_version: int
    metrics_computed_at: str
    acknowledged_at: str | None


async def onboard(tx: Transaction, here: Here, words: Onboarding) -> bytes:
    """Keep the profile and show the account; done again it is a change of all fields.

    Raises BadRequest for an age or a target date that today does not allow.
    """
    await streaks.lock(tx, here.user_id, here.today)
    values = given(words)
    paths = {"weight": "currentWeight"}
    _refuse(values, here, {name: paths.get(name, _last(path)) for name, path in PATHS.items()})
    kept = await _find(tx, here.user_id)
    await _keep(tx, here, kept.record if kept else None, Record(**values))
    await badges.award(tx, here.user_id, here.today, here.now, badges.Deed.ONBOARDED)
    return await accounts.show(tx, here.user_id)


async def change(tx: Transaction, here: Here, words: ProfileChange) -> bytes:
    """Change some fields; raises NotFound before onboarding, BadRequest as ``onboard`` does."""
    await streaks.lock(tx, here.user_id, here.today)
    before = (await _profile(tx, here.user_id)).record
    values = given(words)
    _refuse(values, here, PATHS)
    after = msgspec.structs.replace(before, **values)
    changed, plan_updated = await _keep(tx, here, before, after)
    changes = [
        FieldChange(field=PATHS[each.name], before=shown(each.before), after=shown(each.after))
        for each in changed
    ]
    changes += _moved(_targets(before, here), _targets(after, here))
    profile = _shown(after, here)
    groups = msgspec.structs.asdict(profile)
    return encode(ProfileChanged(**groups, plan_updated=plan_updated, changes=changes))


async def show(session: Session, here: Here) -> bytes:
    """All groups; raises NotFound before onboarding."""
    return encode(_shown((await _profile(session, here.user_id)).record, here))


async def audit(session: Session, user_id: int, page: Page) -> bytes:
    """A page of changes, the newest first."""
    text: str = await session.value(
        q.CHANGES, user_id=user_id, limit=page.limit, offset=page.offset
    )
    return text.encode()


async def how_it_works(session: Session, here: Here) -> bytes:
    """The numbers in words; raises NotFound before onboarding."""
    body = (await _profile(session, here.user_id)).record.body
    return encode(HowItWorks(numbers=explained.explain(body, here.today)))


async def metrics(session: Session, here: Here) -> bytes:
    """The numbers of today; raises NotFound before onboarding."""
    kept = await _profile(session, here.user_id)
    return encode(
        TodaysMetrics(
            date=here.today,
            version=kept.metrics_version,
            metrics_computed_at=kept.metrics_computed_at,
            metrics=Metrics(**asdict(formulas.targets(kept.record.body, here.today))),
            acknowledged=kept.acknowledged_at is not None,
            acknowledged_at=kept.acknowledged_at,
        )
    )


async def acknowledge(tx: Transaction, here: Here, words: Acknowledgement) -> bytes:
    """Note that numbers were seen; raises Conflict for some that are not those of the profile."""
    # As every write of a person's: an account that is being deleted goes first, or waits.
    await streaks.lock(tx, here.user_id, here.today)
    text: str | None = await tx.value(
        q.ACKNOWLEDGE,
        user_id=here.user_id,
        version=words.version,
        computed_at=words.metrics_computed_at,
        now=here.now,
    )
    if text is None:
        raise Conflict(
            "These are not your numbers, or no longer. Read them: GET /v1/profile/metrics/today.",
            code="metrics_changed",
        )
    return text.encode()


async def _find(session: Session, user_id: int) -> Kept | None:
    row = await session.row(q.PROFILE, user_id=user_id)
    if row is None:
        return None
    *fields, partners, version, computed_at, acknowledged_at = row
    fields.append(msgspec.json.decode(partners, type=list[Partner]))
    return Kept(Record(*fields), version, computed_at, acknowledged_at)


async def _profile(session: Session, user_id: int) -> Kept:
    found = await _find(session, user_id)
    if found is None:
        raise NotFound(
            "There is no profile yet. Send it: POST /v1/onboarding.", code="not_onboarded"
        )
    return found


async def _keep(
    tx: Transaction, here: Here, before: Record | None, after: Record
) -> tuple[list[Difference], bool]:
    """Store what changed, with its audit; gives that and whether the plan changed as well."""
    changed = [] if before is None else differences(before, after)
    if before is not None and not changed:
        return [], False
    values = msgspec.structs.asdict(after)
    partners = encode(values.pop("partners")).decode()
    moves_metrics = any(each.moves_metrics for each in changed)
    await tx.execute(
        q.SAVE, user_id=here.user_id, moves_metrics=moves_metrics, now=here.now, **values
    )
    if before is None or before.partners != after.partners:
        await tx.execute(q.SET_PARTNERS, user_id=here.user_id, partners=partners)
    if changed:
        rows = [
            {"field": PATHS[each.name], "before": shown(each.before), "after": shown(each.after)}
            for each in changed
        ]
        await tx.execute(
            q.ADD_CHANGES, user_id=here.user_id, changes=encode(rows).decode(), now=here.now
        )
    person = Person(here.user_id, after.body, after.meals_per_day)
    return changed, await plans.follow(tx, here, person)


def _refuse(values: dict[str, Any], here: Here, paths: dict[str, str]) -> None:
    found = {paths[name]: what for name, what in problems(values, here.today).items()}
    if found:
        names = ", ".join(sorted(found))
        raise BadRequest(f"Please correct: {names}.", code="invalid_fields", fields=found)


def _shown(record: Record, here: Here) -> Profile:
    return Profile(
        demographics=Demographics(
            date_of_birth=record.date_of_birth,
            age=formulas.age(record.date_of_birth, here.today),
            gender=record.gender,
            height=float(record.height),
        ),
        health=Health(
            current_weight=float(record.weight),
            activity_level=record.activity_level,
            bmi=formulas.body_mass_index(record.weight, record.height),
        ),
        goals=Goals(
            primary_goal=record.primary_goal,
            target_weight=float(record.target_weight),
            target_date=record.target_date,
        ),
        preferences=Preferences(
            dietary_preferences=record.dietary_preferences,
            allergies=record.allergies,
            meals_per_day=record.meals_per_day,
            partners=record.partners,
        ),
        targets=_targets(record, here),
    )


def _targets(record: Record, here: Here) -> DailyTargets:
    numbers = asdict(formulas.targets(record.body, here.today))
    return DailyTargets(**{name: numbers[name] for name in DailyTargets.__struct_fields__})


def _moved(before: DailyTargets, after: DailyTargets) -> list[FieldChange]:
    names = msgspec.structs.fields(DailyTargets)
    pairs = (
        (each.encode_name, getattr(before, each.name), getattr(after, each.name)) for each in names
    )
    return [
        FieldChange(field=f"targets.{name}", before=old, after=new)
        for name, old, new in pairs
        if old != new
    ]


def _last(path: str) -> str:
    return path.rpartition(".")[2]
