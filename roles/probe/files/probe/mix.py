"""What is asked, in which proportions, and what a right answer to it is."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from probe.errors import Failure, Reason
from probe.exchange import Ask, Reply
from probe.people import Person, told
from probe.wire import Protocol

# The last one of five comes from somebody new.
_FRESH: Final = 0.2
_EVIDENCE: Final = 0.3
# Reads that show whose answer it is, and as many that show that a write is kept.
_OWN: Final = 1 / 7
# Far from today, so that the answers about today stay as small as a person's.
_DAYS: Final = 300


@dataclass(frozen=True)
class Planned:
    """A request to make. ``check`` raises Failure for a body that is wrong."""

    kind: str
    route: str
    ask: Ask
    expected: int
    check: Callable[[Any], None]
    write: str = ""

    @property
    def slow(self) -> bool:
        """Slow on purpose: its duration says nothing."""
        return bool(self.ask.drip_s or self.ask.sip_s)

    def judge(self, reply: Reply) -> None:
        """Raises Failure unless this is the right answer."""
        if reply.status == 429:
            raise Failure(Reason.LIMITED, told(reply))
        if reply.status >= 500:
            raise Failure(Reason.SERVER_ERROR, told(reply))
        if reply.status != self.expected:
            text = f"{told(reply)} instead of {self.expected}"
            raise Failure(Reason.WRONG_STATUS, text)
        try:
            self.check(reply.json)
        except (KeyError, TypeError, AttributeError) as error:
            start = reply.body[:120].decode(errors="replace")
            text = f"not as documented ({type(error).__name__} {error}): {start!r}"
            raise Failure(Reason.WRONG_BODY, text) from error


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Failure(Reason.WRONG_BODY, f"{what} is {found!r} instead of {wanted!r}")


def _has(*names: str) -> Callable[[Any], None]:
    def check(body: Any) -> None:
        _same("success", body["success"], wanted=True)
        for name in names:
            body["data"][name]

    return check


def _alive(body: Any) -> None:
    _same("status", body["status"], "alive")


class Mix:
    """Plans one request after the other, for each person in turn."""

    def __init__(
        self, people: Sequence[Person], writes: float, protocols: Sequence[Protocol], slow_s: float
    ) -> None:
        self._people = people
        self._writes = writes
        self._protocols = protocols
        self._slow_s = slow_s
        self._chance = random.Random()  # noqa: S311 - nothing that has to be secret
        self._turn = 0

    def _someone(self) -> tuple[Person, Ask]:
        """Whose turn it is, and the way of their request."""
        self._turn += 1
        person = self._people[self._turn % len(self._people)]
        protocol = self._chance.choice(self._protocols)
        fresh = self._chance.random() < _FRESH
        return person, Ask("GET", "/", token=person.token, protocol=protocol, fresh=fresh)

    def next(self) -> Planned:
        """An ordinary request."""
        person, way = self._someone()
        if self._chance.random() >= self._writes:
            return self._read(person, way)
        if person.tasks and self._chance.random() < _EVIDENCE:
            return _new_evidence(person, way)
        return _new_task(person, way)

    def slow_upload(self) -> Planned:
        """A write whose body takes some seconds to come in."""
        person, way = self._someone()
        return _new_task(person, replace(way, fresh=True, drip_s=self._slow_s), "slow upload", 100)

    def long_read(self) -> Planned:
        """The longest answer that there is, to a client that takes its time."""
        _, way = self._someone()
        person = self._people[0]
        ask = replace(way, path="/auth/me/export", token=person.token, sip_s=self._slow_s)

        def check(body: Any) -> None:
            _same("email", body["data"]["account"][0]["email"], person.email)

        return Planned("long read", "/auth/me/export", ask, 200, check)

    def _read(self, person: Person, way: Ask) -> Planned:
        chance = self._chance.random()
        if chance < _OWN:
            return _me(person, way)
        if chance < 2 * _OWN and person.tasks:
            return _task(person, way)
        route, check = self._chance.choice(_READS)
        return Planned("read", route, replace(way, path=route), 200, check)


_READS: Final = (
    ("/v1/tasks/today", _has("date", "totalTasks", "tasksByType", "streak")),
    ("/v1/profile", _has("demographics", "health", "goals", "targets")),
    ("/v1/streaks/me", _has("current", "longest")),
    ("/v1/badges/available", _has("badges")),
    # Not /health: that answers 503 as soon as a server takes longer than a moment, which is news
    # about the server and for those who watch it, and nothing that a client has lost.
    ("/healthz", _alive),
)


def _me(person: Person, way: Ask) -> Planned:
    """An answer that was meant for somebody else would be found."""

    def check(body: Any) -> None:
        _same("email", body["data"]["email"], person.email)

    return Planned("read", "/auth/me", replace(way, path="/auth/me"), 200, check)


def _task(person: Person, way: Ask) -> Planned:
    """What was acknowledged is there."""
    number, title = person.tasks[-1]

    def check(body: Any) -> None:
        _same("title", body["data"]["title"], title)

    ask = replace(way, path=f"/v1/tasks/{number}")
    return Planned("read back", "/v1/tasks/{id}", ask, 200, check)


def _write(way: Ask, path: str, key: str, body: dict[str, Any]) -> Ask:
    return replace(way, method="POST", path=path, key=key, body=body)


def _new_task(person: Person, way: Ask, kind: str = "write", sentences: int = 1) -> Planned:
    write = uuid.uuid4().hex
    title = f"probe {write}"
    day = datetime.now(UTC).date() + timedelta(days=30 + int(write[:4], 16) % _DAYS)
    body = {"title": title, "dueDate": str(day), "description": "Sent by a release. " * sentences}

    def check(answer: Any) -> None:
        _same("title", answer["data"]["title"], title)
        person.tasks.append((answer["data"]["id"], title))

    ask = _write(way, "/v1/tasks", write, body)
    return Planned(kind, "/v1/tasks", ask, 201, check, write)


def _new_evidence(person: Person, way: Ask) -> Planned:
    write = uuid.uuid4().hex
    task, _ = person.tasks.popleft()
    body = {"taskId": task, "type": "text_log", "data": {"text": f"probe {write}"}}

    def check(answer: Any) -> None:
        _same("text", answer["data"]["evidence"]["data"]["text"], f"probe {write}")
        _same("status", answer["data"]["task"]["status"], "completed")

    ask = _write(way, "/v1/evidence", write, body)
    return Planned("write", "/v1/evidence", ask, 201, check, write)
