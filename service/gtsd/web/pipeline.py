"""From a request to its answer: who asks, how often, with what; then the handler."""

from __future__ import annotations

from typing import Final

from gtsd.deps import Deps
from gtsd.errors import ApiError, Forbidden, TooManyRequests, Unauthenticated, UnsupportedMediaType
from gtsd.stores.limits import Limit, Usage, address_subject
from gtsd.telemetry import tracing
from gtsd.web import headers
from gtsd.web.answers import Answer
from gtsd.web.bodies import decode_body, decode_form, decode_query
from gtsd.web.call import ACCOUNT_FIELD, Account, Call
from gtsd.web.routes import FORM_TYPE, Limited, Policy

_BEARER: Final = "bearer "


class Pipeline:
    """Runs one call of a route; raises ApiError for every refusal."""

    def __init__(self, deps: Deps) -> None:
        settings = deps.settings
        self._deps = deps
        self._anonymous = Limit("anonymous", settings.limit_anonymous, 60)
        self._user = Limit("user", settings.limit_user, 60)
        self._extra = {
            Limited.AUTH_WRITE: Limit("auth_write", settings.limit_auth_write, 60),
            Limited.HEAVY: Limit("heavy", settings.limit_heavy, 60),
        }

    async def answer(self, call: Call) -> Answer:
        """The handler's answer; headers for every outcome are left in ``call.headers``."""
        policy = call.route.policy
        if policy is Policy.OPS:
            return await call.route.handler(call)
        if policy is Policy.PUBLIC:
            await self._limit_address(call)
        else:
            call.account = await self._identify(call)
        self._read(call)
        with tracing.deferred_span(call.route.use_case):
            answer = await call.route.handler(call)
        if policy is Policy.USER:
            return _validated(call, answer)
        return answer

    async def _identify(self, call: Call) -> Account:
        try:
            call.token = self._deps.tokens.verify(_bearer(call))
        except ApiError:
            # Guessing tokens is limited like everything else that comes without one.
            await self._limit_address(call)
            raise
        user_id, cache = call.token.user_id, self._deps.cache
        # Goes out together with the counting of this use: one round trip instead of three.
        ahead = () if call.request.query else call.route.cached
        asked = cache.ask(user_id, (ACCOUNT_FIELD, *ahead))
        try:
            await self._limit_user(call, user_id)
        except BaseException:
            asked.forget()
            raise
        found = await cache.told(asked)
        if ahead:
            call.cached = found
        account = await self._deps.accounts.find(user_id, found)
        if account is None:
            raise Unauthenticated
        if not account.is_active:
            raise Forbidden("This account is deactivated.", code="account_deactivated")
        return account

    async def _limit_address(self, call: Call) -> None:
        subject = address_subject(call.request.address)
        hits = [(self._anonymous, subject)]
        if call.route.limit is not None:
            hits.append((self._extra[call.route.limit], subject))
        await self._hit(call, hits)

    async def _limit_user(self, call: Call, user_id: int) -> None:
        subject = str(user_id)
        hits = [(self._user, subject)]
        if call.route.limit is Limited.AUTH_WRITE:
            hits.append((self._extra[Limited.AUTH_WRITE], address_subject(call.request.address)))
        elif call.route.limit is not None:
            hits.append((self._extra[call.route.limit], subject))
        await self._hit(call, hits)

    async def _hit(self, call: Call, hits: list[tuple[Limit, str]]) -> None:
        usages = await self._deps.limits.hit_all(hits)
        call.headers.update(_usage_headers(usages))
        for usage in usages:
            if not usage.allowed:
                raise TooManyRequests(retry_after=usage.retry_after_s)

    def _read(self, call: Call) -> None:
        route, request = call.route, call.request
        if route.query is not None:
            call.query = decode_query(request.query, route.query)
        if route.body is None:
            return
        if request.body:
            _check_media_type(request.headers.get("Content-Type", ""), route.body_type)
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
        if route.body_type == FORM_TYPE:
            call.body = decode_form(request.body, route.body)
            return
        # An empty body is an empty object, so that the answer names every field that is missing.
        call.body = decode_body(request.body or b"{}", route.body, self._deps.settings.json_depth)


def _bearer(call: Call) -> str:
    given = call.request.headers.get("Authorization", "")
    if given[: len(_BEARER)].lower() != _BEARER:
        raise Unauthenticated
    return str(given[len(_BEARER) :]).strip()


def _check_media_type(given: str, wanted: str) -> None:
    media_type = given.replace(" ", "").replace('"', "").lower()
    if media_type not in (wanted, f"{wanted};charset=utf-8"):
        raise UnsupportedMediaType(f"Send the body as Content-Type: {wanted}, in UTF-8.")


def _usage_headers(usages: list[Usage]) -> dict[str, str]:
    """The limit that is nearest to being reached, in the header fields of the IETF draft."""
    usage = min(usages, key=lambda usage: (usage.allowed, usage.remaining))
    return {
        "RateLimit-Limit": str(usage.limit.amount),
        "RateLimit-Remaining": str(usage.remaining),
        "RateLimit-Reset": str(usage.reset_s),
    }


def _validated(call: Call, answer: Answer) -> Answer:
    if call.route.method != "GET" or answer.status != 200:
        return answer
    tag = headers.etag(answer.body)
    call.headers["ETag"] = tag
    if headers.matches(call.request.headers.get("If-None-Match"), tag):
        return Answer(304, b"", answer.headers)
    return answer
