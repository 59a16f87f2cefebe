"""Calls of one operation, thousands if wanted, made from the document and held against it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from tests.support.belongings import MAKERS, Maker, Reference, settle
from tests.support.client import Client
from tests.support.process import Served

# Beside these there is one that is left out: not all that fits the document is accepted, as rules
# between fields and the state of things are no part of a schema.
_CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
_PROBES = re.compile(r"/(health|healthz|ready|metrics)")
_VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc", "Zs"])
_HEADERS = st.fixed_dictionaries(
    {"X-Request-ID": st.text(_VISIBLE, min_size=1, max_size=140)},
    optional={
        "If-None-Match": st.one_of(st.just("*"), st.text(_VISIBLE, min_size=1)),
        "X-Forwarded-For": st.one_of(st.ip_addresses().map(str), st.text(_VISIBLE, min_size=1)),
        "Accept": st.sampled_from(["*/*", "text/html", "application/json;q=0"]),
    },
)


@dataclass
class Report:
    """What came of the calls; one line for each kind of finding, the first of its kind."""

    calls: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)


class _Person:
    """Who calls, and what there is to be named in a path or a body."""

    _numbers = iter(range(1, 1_000_000))

    def __init__(self, served: Served) -> None:
        self._served = served
        self._things: dict[str, Reference] = {}
        self.renew()

    def renew(self) -> None:
        """Somebody new, who has just begun."""
        email = f"fuzz{next(self._numbers)}@example.com"
        self.token, number = self._served.sign_up(email)
        base = f"http://127.0.0.1:{self._served.port}"
        self._client = Client(base, self.token, user={"id": number, "email": email})
        self._things.clear()
        asyncio.run(settle(self._client))

    def thing(self, name: str) -> Reference | None:
        """One of the person's own, made when it is first asked for; None where that fails."""
        maker = MAKERS.get(name)
        if name not in self._things and maker is not None:
            self._things[name] = asyncio.run(_made(maker, self._client))
        return self._things.get(name)

    def lose(self) -> None:
        """Something was deleted: all of it is made anew."""
        self._things.clear()


async def _made(maker: Maker, owner: Client) -> Reference:
    return await maker(owner)


def envelope(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Each refusal has the one shape, and the id that its header has."""
    del context
    if response.status_code < 400 or _PROBES.fullmatch(case.operation.path):
        return
    body = json.loads(response.content)
    assert set(body) == {"success", "error"}, f"another envelope: {body}"
    assert body["success"] is False
    assert set(body["error"]) - {"fields"} == {"code", "message", "requestId"}, body
    assert re.fullmatch("[a-z_]+", body["error"]["code"])
    ids = [body["error"]["requestId"]]
    assert ids == response.headers["x-request-id"], "the header has another id"


def operation_of(served: Served, title: str) -> Any:
    """An operation of the document that is served, such as ``GET /auth/me``."""
    url = f"http://127.0.0.1:{served.port}/openapi.json"
    schema = schemathesis.openapi.from_url(url, config=schemathesis.Config())
    # The token is ours; without one everything is 401, which the matrix of callers has.
    schema.config.generation.with_security_parameters = False
    method, _, path = title.partition(" ")
    return schema[path][method]


def fuzz(served: Served, title: str, calls: int, seed: int) -> Report:
    """So many calls of an operation, right and wrong ones, near its example and far from it."""
    operation, report, person = operation_of(served, title), Report(), _Person(served)
    session = requests.Session()
    kinds = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if operation.path_parameters or operation.query or operation.body:
        kinds.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=calls,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=st.one_of(kinds), headers=_HEADERS, chance=st.randoms(use_true_random=False)
    )
    def call(case: Case[Any], headers: dict[str, str], chance: Any) -> None:
        assert case.meta is not None
        if chance.random() < 0.67:
            _bring_near(operation, case, person, chance)
        sent = {**headers, "Authorization": f"Bearer {person.token}"}
        report.calls += 1
        try:
            answer = case.call(
                base_url=f"http://127.0.0.1:{served.port}", session=session, headers=sent
            )
            case.validate_response(answer, checks=[*_CHECKS, envelope])
        except (BaseExceptionGroup, requests.RequestException) as found:
            kind = str(found).partition("\n\n- ")[2].partition("\n")[0] or type(found).__name__
            report.findings.setdefault(kind, f"{title}: {found}"[:2000])
            return
        report.statuses[answer.status_code] += 1
        if answer.status_code == 401 and b'"unauthenticated"' in answer.content:
            person.renew()
        elif case.method == "DELETE":
            person.lose()

    call()
    session.close()
    return report


def _bring_near(operation: Any, case: Case[Any], person: _Person, chance: Any) -> None:
    """What is right in it becomes about things that exist, and nearly the example of a body."""
    path = operation.path
    for name in case.path_parameters if _is_right(case, ParameterLocation.PATH) else ():
        thing = person.thing(path[: path.index(f"{{{name}}}") + len(name) + 2])
        if thing is not None:
            case.path_parameters[name] = thing
    if isinstance(case.body, dict) and _is_right(case, ParameterLocation.BODY):
        if "Idempotency-Key" in case.headers and _is_right(case, ParameterLocation.HEADER):
            # One of a few, so that it was there before, with this body or another.
            case.headers["Idempotency-Key"] = chance.choice("abc")
        [content] = operation.definition.raw["requestBody"]["content"].values()
        changed = {name: value for name, value in case.body.items() if chance.random() < 0.25}
        case.body = {**content["example"], **changed}
        for name in case.body:
            thing = person.thing(name)
            if thing is not None:
                case.body[name] = thing


def _is_right(case: Case[Any], part: ParameterLocation) -> bool:
    assert case.meta is not None
    made = case.meta.components.get(part)
    return made is not None and made.mode is GenerationMode.POSITIVE
