"""Signing in from a place that the account was never seen at."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.conftest import Running, Start
from tests.support.client import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
NEXT_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Safari/604.1"
HOME, NEIGHBOUR, AWAY = "203.0.113.9", "203.0.113.77", "198.51.100.4"


async def log_in(service: Running, email: str, agent: str = FIREFOX, address: str = HOME) -> None:
    """From a program at an address, as the proxy tells it."""
    headers = {"User-Agent": agent, "X-Forwarded-For": address}
    body = {"email": email, "password": PASSWORD}
    assert (await service.client.post("/auth/login", body, headers=headers)).status == 200


async def sign_up(service: Running, email: str) -> None:
    """At home, with Firefox."""
    headers = {"User-Agent": FIREFOX, "X-Forwarded-For": HOME}
    body = {"email": email, "password": PASSWORD, "name": "Ada", "timezone": "Asia/Kolkata"}
    assert (await service.client.post("/auth/signup", body, headers=headers)).status == 201


def told(service: Running) -> int:
    """How many such mails have arrived."""
    return [kind for kind, *_ in service.mails].count("new_sign_in")


async def test_a_new_place_is_told_once(service: Running) -> None:
    """When, with what and from which address; the second time it is not new."""
    await sign_up(service, "place1@example.com")
    await log_in(service, "place1@example.com", IPHONE, AWAY)
    await log_in(service, "place1@example.com", IPHONE, AWAY)
    assert told(service) == 1
    mail = service.mail_server.received[-1]
    assert mail.to == "place1@example.com"
    text = mail.part("plain")
    assert "Wednesday, 18 November 2026, 17:30 (Asia/Kolkata)" in text
    assert "Safari on an iPhone" in text
    assert AWAY in text
    assert "https://app.example.org/forgot-password" in text


@pytest.mark.parametrize(
    ("agent", "address"), [(FIREFOX, HOME), (NEXT_FIREFOX, HOME), (FIREFOX, NEIGHBOUR)]
)
async def test_the_first_place_is_not_new(service: Running, agent: str, address: str) -> None:
    """Nor after an update of the program, nor with another address of the same network."""
    email = f"place2-{agent[-4:-2]}-{address}@example.com"
    await sign_up(service, email)
    await log_in(service, email, agent, address)
    assert told(service) == 0


@pytest.mark.parametrize(("agent", "address"), [(IPHONE, HOME), (FIREFOX, AWAY)])
async def test_another_program_or_network_is_new(
    service: Running, agent: str, address: str
) -> None:
    """Each alone is enough."""
    email = f"place3-{agent == IPHONE}@example.com"
    await sign_up(service, email)
    await log_in(service, email, agent, address)
    assert told(service) == 1


async def test_parallel_sign_ins_from_one_place_are_told_once(service: Running) -> None:
    """The table decides whose is the first."""
    await sign_up(service, "place4@example.com")
    await asyncio.gather(*(log_in(service, "place4@example.com", IPHONE) for _ in range(6)))
    assert told(service) == 1


async def test_places_of_others_do_not_count(service: Running) -> None:
    """What is known of one account tells nothing about another."""
    for email in ("place5@example.com", "place6@example.com"):
        await sign_up(service, email)
    await log_in(service, "place5@example.com", IPHONE, AWAY)
    await log_in(service, "place6@example.com", IPHONE, AWAY)
    assert told(service) == 2


async def test_a_wrong_password_tells_nobody(service: Running) -> None:
    """It was no sign-in."""
    await sign_up(service, "place7@example.com")
    body = {"email": "place7@example.com", "password": "Wrong-horse-7"}
    headers = {"User-Agent": IPHONE, "X-Forwarded-For": AWAY}
    assert (await service.client.post("/auth/login", body, headers=headers)).status == 401
    assert told(service) == 0


async def test_what_a_client_says_of_itself_is_not_mailed(service: Running) -> None:
    """A stranger with the password could otherwise write to the owner in our name."""
    await sign_up(service, "place8@example.com")
    await log_in(service, "place8@example.com", "Call +1 900 555 0100 <b>now</b>", AWAY)
    mail = service.mail_server.received[-1]
    assert "a program that we do not know" in mail.part("plain")
    assert "900" not in mail.part("plain") + mail.part("html")


async def test_places_are_remembered_while_mails_are_off(start: Start) -> None:
    """Or the day on which they are switched on would be a day of mails to everybody."""
    off = await start(smtp_url=None)
    await sign_up(off, "place9@example.com")
    await log_in(off, "place9@example.com", IPHONE, AWAY)
    on = await start()
    await log_in(on, "place9@example.com", IPHONE, AWAY)
    assert told(on) == 0
