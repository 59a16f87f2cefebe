"""The accounts that requests are made for: opened at the start, deleted at the end.

What is done here is not measured, and waits where the API says that it is too much; but for tokens
that are renewed while requests are made, which count like any other.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from probe.errors import Failure, ProbeError, Reason
from probe.exchange import Ask, Exchange, Reply

# More than proxies and the kernel take off the API's hands: it is busy until all is read.
_LONG_NOTES: Final = 40
_LONG_NOTE_BYTES: Final = 16_000
# A token is good for so long; the last of a round is renewed with some of it left.
_TOKEN_LASTS_S: Final = 15 * 60
_SPARE_S: Final = 60
# The API takes ten of them a minute from one address.
RENEWALS_EVERY_S: Final = 7.5
# A limit is of a minute; who waits for longer waits for something else.
_PATIENCE_S: Final = 90.0
_AT_A_TIME: Final = 8

_T = TypeVar("_T")


@dataclass
class Person:
    """One account. ``made`` ones are ours to delete; ``tasks`` are theirs without evidence."""

    email: str
    password: str
    made: bool
    token: str = ""
    refresh_token: str = ""
    renewed: float = 0.0
    tasks: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=200))

    def signed_in(self, answer: dict[str, Any]) -> None:
        """Keep the tokens of a sign-up, a login or a renewal."""
        self.token = answer["accessToken"]
        self.refresh_token = answer["refreshToken"]
        self.renewed = time.monotonic()


def read_people(file: Path) -> list[Person]:
    """Accounts that exist already; raises ProbeError with an example for a file that is no list."""
    example = '[{"email": "ada@example.com", "password": "…", "accessToken"?, "refreshToken"?}]'
    try:
        rows = json.loads(file.read_text())
        people = [Person(row["email"], row["password"], made=False) for row in rows]
        for person, row in zip(people, rows, strict=True):
            if "accessToken" in row:
                person.signed_in(row)
    except OSError as error:
        raise ProbeError(f"--accounts-file {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeError(f"--accounts-file {file}: must be JSON such as {example}") from error
    if not people:
        raise ProbeError(f"--accounts-file {file}: has no account; write {example}")
    return people


def _onboarding() -> dict[str, Any]:
    target = datetime.now(UTC).date() + timedelta(days=180)
    return {
        "dateOfBirth": "1990-05-17",
        "gender": "female",
        "primaryGoal": "maintain",
        "currentWeight": 70,
        "targetWeight": 70,
        "height": 170,
        "targetDate": str(target),
        "activityLevel": "moderately_active",
    }


class People:
    """Opens, prepares and deletes accounts of one API."""

    def __init__(self, exchange: Exchange, say: Callable[[str], None]) -> None:
        self._exchange = exchange
        self._say = say
        self.all: list[Person] = []

    async def _ask(self, ask: Ask, *expected: int) -> Any:
        """The data of an answer; raises Failure for any status but the expected ones."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            reply = await self._exchange.send(ask)
            if reply.status in expected:
                return _data(reply)
            wait = _wait(reply)
            if reply.status != 429 or time.monotonic() + wait > until:
                raise Failure(Reason.WRONG_STATUS, f"{ask.method} {ask.path}: {told(reply)}")
            self._say(
                f"the API's limits let the next {ask.method} {ask.path} through in {wait:g} s"
            )
            await asyncio.sleep(wait)

    async def open(self, number: int, domain: str, given: list[Person]) -> None:
        """So many new accounts, or those given, each with a plan; raises Failure."""
        if given:
            self._say(f"signing in {len(given)}")
            self.all += given
            await _some_at_a_time(self._sign_in, given)
        else:
            run = secrets.token_hex(4)
            self._say(f"opening accounts, {number}")
            emails = [f"release-probe-{run}-{index}@{domain}" for index in range(number)]
            await _some_at_a_time(self._sign_up, emails)
        await _some_at_a_time(self._prepare, self.all)

    async def _sign_in(self, person: Person) -> None:
        if not await self._is_signed_in(person):
            body = {"email": person.email, "password": person.password}
            person.signed_in(await self._ask(Ask("POST", "/auth/login", body), 200))

    async def _is_signed_in(self, person: Person) -> bool:
        """Whether a token came along that is still good: a file outlives its tokens."""
        if not person.token:
            return False
        reply = await self._exchange.send(Ask("GET", "/auth/me", token=person.token))
        return reply.status != 401

    def to_renew(self) -> Person | None:
        """Whose token is to be renewed now. One at a time: the more there are, the earlier."""
        oldest = min(self.all, key=lambda person: person.renewed)
        kept_s = _TOKEN_LASTS_S - _SPARE_S - len(self.all) * RENEWALS_EVERY_S
        return oldest if time.monotonic() - oldest.renewed > kept_s else None

    async def fill(self) -> None:
        """Give the first one much to export, where the account is ours."""
        person = self.all[0]
        if not person.made:
            return
        self._say("writing what is read slowly")
        day = str(datetime.now(UTC).date() + timedelta(days=29))
        body = {"title": "Long", "dueDate": day, "metadata": {"note": "n" * _LONG_NOTE_BYTES}}

        async def write(_: int) -> None:
            await self._ask(Ask("POST", "/v1/tasks", body, person.token), 201)

        await _some_at_a_time(write, range(_LONG_NOTES))

    async def _sign_up(self, email: str) -> None:
        person = Person(email, f"Aa-1{secrets.token_urlsafe(24)}", made=True)
        # Noted first: where the answer is lost, the account may be there all the same.
        self.all.append(person)
        body = {"email": email, "password": person.password, "name": "Release probe"}
        person.signed_in(await self._ask(Ask("POST", "/auth/signup", body), 201))

    async def _prepare(self, person: Person) -> None:
        me = await self._ask(Ask("GET", "/auth/me", token=person.token), 200)
        if not me["hasCompletedOnboarding"]:
            body = _onboarding()
            await self._ask(Ask("POST", "/v1/onboarding", body, person.token), 201)
        await self._ask(Ask("POST", "/v1/plans/generate", {}, person.token), 200, 201)

    async def delete(self) -> list[str]:
        """Those that we made; returns what is left, with the reason."""
        left = []

        async def try_to(person: Person) -> None:
            try:
                await self._delete(person)
            except Failure as failure:
                left.append(f"{person.email}: {failure.text}")

        await _some_at_a_time(try_to, [person for person in self.all if person.made])
        return left

    async def _delete(self, person: Person) -> None:
        if not person.token:
            # Its sign-up was not answered; if it is not there, that is as good.
            body = {"email": person.email, "password": person.password}
            reply = await self._exchange.send(Ask("POST", "/auth/login", body))
            if reply.status == 401:
                return
            person.signed_in(_data(reply))
        body = {"password": person.password}
        await self._ask(Ask("DELETE", "/auth/me", body, person.token), 202)


async def _some_at_a_time(
    work: Callable[[_T], Coroutine[Any, Any, None]], items: Iterable[_T]
) -> None:
    """Each once, and all of them though one fails; raises the first failure.

    One after the other, eight accounts took the release 6 s.
    """
    room = asyncio.Semaphore(_AT_A_TIME)

    async def one(item: _T) -> None:
        async with room:
            await work(item)

    for outcome in await asyncio.gather(*map(one, items), return_exceptions=True):
        if outcome is not None:
            raise outcome


def told(reply: Reply) -> str:
    """An unexpected answer in words."""
    try:
        error = json.loads(reply.body)["error"]
        said = f" {error['code']}: {error['message']} (request {error['requestId']})"
    except (ValueError, KeyError, TypeError):
        said = ""
    return f"answered {reply.status}{said}"


def _data(reply: Reply) -> Any:
    try:
        return reply.json["data"]
    except (KeyError, TypeError):
        raise Failure(Reason.WRONG_BODY, told(reply)) from None


def _wait(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "1")
    return float(text) if text.isdigit() else 1.0
