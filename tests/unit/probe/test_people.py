"""The accounts of the outside client stay signed in, however long it calls."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

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
