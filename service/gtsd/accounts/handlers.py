"""HTTP of accounts: parse, call, answer."""

from __future__ import annotations

from gtsd.accounts import mailed_tokens, operations, sessions
from gtsd.accounts.sessions import Place
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call
from gtsd.web.fields import DONE
from gtsd.web.idempotency import write


def _place(call: Call) -> Place:
    return Place(call.request.headers.get("User-Agent", ""), call.request.address)


async def sign_up(call: Call) -> Answer:
    """POST /auth/signup"""
    hashed = await call.deps.passwords.hash(call.body.password)
    return await write(
        call, lambda tx: operations.sign_up(call.deps, tx, call.body, hashed, _place(call))
    )


async def log_in(call: Call) -> Answer:
    """POST /auth/login"""
    return success(await operations.log_in(call.deps, call.body, _place(call)))


async def refresh(call: Call) -> Answer:
    """POST /auth/refresh"""
    return success(await sessions.refresh(call.deps, call.body.refresh_token, call.began))


async def log_out(call: Call) -> Answer:
    """POST /auth/logout"""
    await sessions.end(call.deps.postgres, call.body.refresh_token)
    return success(DONE)


async def show(call: Call) -> Answer:
    """GET /auth/me"""
    return success(await operations.show(call.deps.postgres, call.user.id))


async def change(call: Call) -> Answer:
    """PATCH /auth/me"""
    return await write(call, lambda tx: operations.change(tx, call.user.id, call.body))


async def delete(call: Call) -> Answer:
    """DELETE /auth/me"""
    await operations.delete(call.deps, call.user.id, call.body.password, _place(call))
    return success(DONE, call.route.status)


async def change_password(call: Call) -> Answer:
    """PATCH /auth/change-password"""
    await operations.change_password(
        call.deps, call.user.id, call.token_id, call.body, _place(call)
    )
    return success(DONE)


async def forgot_password(call: Call) -> Answer:
    """POST /auth/forgot-password"""
    await mailed_tokens.forgot_password(call.deps, call.body.email)
    return success(DONE)


async def reset_password(call: Call) -> Answer:
    """POST /auth/reset-password"""
    await mailed_tokens.reset_password(call.deps, call.body)
    return success(DONE)


async def verify_email(call: Call) -> Answer:
    """POST /auth/verify-email"""
    return await write(call, lambda tx: mailed_tokens.verify_email(call.deps, tx, call.body.token))


async def resend_verification(call: Call) -> Answer:
    """POST /auth/verify-email/resend"""
    await mailed_tokens.resend_verification(call.deps, call.user.id)
    return success(DONE)


async def list_sessions(call: Call) -> Answer:
    """GET /auth/sessions"""
    return success(await sessions.show(call.deps.postgres, call.user.id, call.token_id))


async def end_session(call: Call) -> Answer:
    """DELETE /auth/sessions/{id}"""
    await sessions.end_one(call.deps.postgres, call.user.id, call.params["id"])
    return success(DONE)
