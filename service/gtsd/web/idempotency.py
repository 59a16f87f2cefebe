"""Writes: one transaction each, and with an Idempotency-Key the effect happens once.

The key, a fingerprint of the request and the sealed answer are committed together with the effect,
so that after any crash either all of it exists or nothing does. An advisory lock on the key tells
a retry that arrives while the first request is still running. See the IETF draft
"The Idempotency-Key HTTP Header Field" for the protocol.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet

from gtsd.errors import BadRequest, Conflict, IdempotencyMismatch, Unavailable
from gtsd.stores.postgres import Query
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call

if TYPE_CHECKING:
    from gtsd.stores.postgres import Session, Transaction

HEADER: Final = "Idempotency-Key"
_VALID: Final = re.compile(r"[\x21-\x7e]{1,255}")

_TRY_LOCK: Final = Query(
    "idempotency_lock",
    "SELECT pg_try_advisory_xact_lock(hashtextextended(%(scope)s, 7))",
)
_FIND: Final = Query(
    "idempotency_find",
    """
    SELECT fingerprint, status, sealed_answer FROM idempotency_keys
    WHERE user_id = %(user_id)s AND key = %(key)s AND created_at > now() - interval '24 hours'
    """,
)
_STORE: Final = Query(
    "idempotency_store",
    """
    INSERT INTO idempotency_keys (user_id, key, fingerprint, status, sealed_answer)
    VALUES (%(user_id)s, %(key)s, %(fingerprint)s, %(status)s, %(sealed)s)
    ON CONFLICT (user_id, key) DO UPDATE
    SET fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status,
        sealed_answer = EXCLUDED.sealed_answer, created_at = now()
    """,
)
# Those that _FIND does not find any more.
FORGET: Final = Query(
    "idempotency_forget",
    """
    WITH old AS (
        SELECT user_id, key FROM idempotency_keys
        WHERE created_at < %(now)s::timestamptz - interval '24 hours'
        ORDER BY created_at LIMIT %(limit)s
    ), gone AS (
        DELETE FROM idempotency_keys k USING old o
        WHERE k.user_id = o.user_id AND k.key = o.key RETURNING 1
    )
    SELECT count(*)::int FROM gone
    """,
)

Work = Callable[["Transaction"], Awaitable[bytes | Answer]]
Message = Callable[["Session"], Awaitable[bytes]]


async def write(call: Call, work: Work) -> Answer:
    """Run a use case in a transaction and answer with the JSON it returns, or as it answers itself.

    What is cached of the user is forgotten after the commit and before the answer. Raises what
    ``work`` raises, with nothing changed; IdempotencyMismatch where the key was used for another
    request; Conflict while the first request with this key is still running.
    """
    key = call.request.headers.get(HEADER) if call.route.creates else None
    if key is None:
        async with call.deps.postgres.transaction() as tx:
            _forget_after(call, tx)
            given = await work(tx)
        return _answer(call, given)
    if not _VALID.fullmatch(key):
        raise BadRequest(
            f"{HEADER} takes 1 to 255 visible ASCII characters, for example a UUID.",
            code="invalid_idempotency_key",
        )
    return await _once(call, key, work)


async def write_at_once(call: Call, work: Message) -> Answer:
    """As ``write``, for work that is one query of however many statements.

    A query is a transaction by itself, so that without a key two of three round trips are saved.
    """
    if call.request.headers.get(HEADER) is not None:
        return await write(call, work)
    deps, user_id = call.deps, call.user.id
    try:
        given = await work(deps.postgres)
    except Unavailable:
        await deps.cache.forget(user_id)  # it may have taken effect all the same
        raise
    await deps.cache.forget(user_id)
    return _answer(call, given)


async def _once(call: Call, key: str, work: Work) -> Answer:
    user_id = call.account.id if call.account else 0
    fingerprint = _fingerprint(call)
    seal = _seal(key, call.request.body)
    async with call.deps.postgres.transaction() as tx:
        # For a replay as well: the first process may have died between its commit and this.
        _forget_after(call, tx)
        if not await tx.value(_TRY_LOCK, scope=f"{user_id}:{key}"):
            raise Conflict(
                "The first request with this Idempotency-Key is still running.",
                code="still_running",
                retry_after=1,
            )
        found = await tx.row(_FIND, user_id=user_id, key=key)
        if found is not None:
            return _replay(found, fingerprint, seal)
        answer = _answer(call, await work(tx))
        await tx.execute(
            _STORE,
            user_id=user_id,
            key=key,
            fingerprint=fingerprint,
            status=answer.status,
            sealed=seal.encrypt(answer.body),
        )
    return answer


def _answer(call: Call, given: bytes | Answer) -> Answer:
    return given if isinstance(given, Answer) else success(given, call.route.status)


def _forget_after(call: Call, tx: Transaction) -> None:
    if call.account is not None:
        user_id = call.account.id
        tx.after_commit(lambda: call.deps.cache.forget(user_id))


def _replay(found: tuple[memoryview, int, memoryview], fingerprint: bytes, seal: Fernet) -> Answer:
    if bytes(found[0]) != fingerprint:
        raise IdempotencyMismatch
    body = seal.decrypt(bytes(found[2]))
    return Answer(found[1], body, {"Idempotency-Replayed": "true"})


def _fingerprint(call: Call) -> bytes:
    request = call.request
    text = f"{request.method} {request.path}?{request.query}\n".encode()
    return hashlib.sha256(text + request.body).digest()


def _seal(key: str, body: bytes) -> Fernet:
    """Made from what only the client has, so that the table alone does not open the answers."""
    digest = hashlib.sha256(b"gtsd-idempotency\0" + key.encode() + b"\0" + body).digest()
    return Fernet(base64.urlsafe_b64encode(digest))
