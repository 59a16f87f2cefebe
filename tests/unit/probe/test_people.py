"""The accounts of the outside client stay signed in, however long it calls."""

from __future__ import annotations

import asyncio
import json
import time
from unittest.mock import Mock

import pytest

from probe.errors import Failure
from probe.exchange import Ask, Reply
from probe.people import RENEWALS_EVERY_S, People, Person

_TOKEN_LASTS_S = 15 * 60


@pytest.mark.parametrize("count", [2, 40, 100])
def test_no_token_is_used_up_before_its_turn(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are from the start, and the API's limit lets them be renewed one after the other."""
    people = People(Mock(), Mock())
    people.all = [Person(f"{number}@example.com", "", made=True) for number in range(count)]
    renewals = 0
    for step in range(int(3600 / RENEWALS_EVERY_S)):
        now = step * RENEWALS_EVERY_S
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        if person := people.to_renew():
            person.renewed = now
            renewals += 1
        assert now - min(person.renewed for person in people.all) < _TOKEN_LASTS_S
    assert count <= renewals


class _Api:
    """Answers what opens accounts, and refuses those that it is told to."""

    def __init__(self, *refused: int) -> None:
        self.most = 0
        self._refused = refused
        self._now = 0

    async def send(self, ask: Ask) -> Reply:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.01)
        self._now -= 1
        if ask.path == "/auth/signup":
            number = int(ask.body["email"].partition("@")[0].rpartition("-")[2])
            if number in self._refused:
                return Reply(500, {}, b"{}")
        data = {"accessToken": "a", "refreshToken": "r", "hasCompletedOnboarding": True}
        return Reply(
            202 if ask.method == "DELETE" else 201, {}, json.dumps({"data": data}).encode()
        )


def test_accounts_are_opened_some_at_a_time_and_all_before_a_failure_is_told() -> None:
    """What is open then is known, and deleted."""
    api = _Api(2, 5)
    people = People(api, Mock())  # type: ignore[arg-type]  # as much of an Exchange as is asked
    with pytest.raises(Failure):
        asyncio.run(people.open(20, "probe.invalid", []))
    assert api.most == 8
    assert [bool(person.token) for person in people.all] == [n not in (2, 5) for n in range(20)]
