"""The person that a developer meets: has a profile, a plan, and a streak that goes on."""

from __future__ import annotations

from datetime import timedelta

from gtsd.clock import FixedClock
from gtsd.dev import demo
from gtsd.dev.demo import DemoPerson
from tests.api.conftest import Running, Start
from tests.support.client import Client


async def _signed_in(service: Running, person: DemoPerson) -> Client:
    body = {"email": person.email, "password": person.password}
    return service.client.signed_in((await service.client.post("/auth/login", body)).data)


async def test_the_demo_person_has_all_that_the_api_shows(
    start: Start, migrated_database_url: str, clock: FixedClock
) -> None:
    """A second start on the same day changes nothing; later ones add what is missing."""
    service = await start(database_url=migrated_database_url)
    postgres = service.deps.postgres
    person = await demo.fill(postgres, clock)
    ada = await _signed_in(service, person)
    plan = (await ada.get("/v1/plans/current")).data
    assert plan["targets"]["calories"] == 2560
    assert (await ada.get("/v1/profile")).data["preferences"]["partners"]
    assert (await ada.get("/v1/streaks/me")).data["current"] == 8
    assert (await ada.get(f"/v1/tasks/{person.task_id}")).data["status"] == "pending"
    tasks = (await ada.get("/v1/tasks")).data["pagination"]["total"]
    assert await demo.fill(postgres, clock) == person
    assert (await ada.get("/v1/tasks")).data["pagination"]["total"] == tasks

    clock.move(timedelta(days=9))
    person = await demo.fill(postgres, clock)
    ada = await _signed_in(service, person)
    assert (await ada.get("/v1/plans/current")).data["startsOn"] == "2026-11-27"
    assert (await ada.get("/v1/streaks/me")).data["current"] == 8
    assert (await ada.get(f"/v1/tasks/{person.task_id}")).data["dueDate"] == "2026-11-27"
