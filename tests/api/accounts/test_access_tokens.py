"""Access tokens: what is accepted, and a few hundred that are not."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import jwt
import pytest

from gtsd.clock import FixedClock
from gtsd.errors import Unauthenticated
from tests.api.conftest import Running, Start
from tests.support.client import Client

SECRET = "another-secret-for-tests-9876543210-zyxwvuts"


def _header(token: str) -> dict[str, Any]:
    return dict(jwt.get_unverified_header(token))


def _claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


async def test_the_claims_are_those_of_the_contract(ada: Client) -> None:
    """And nothing else."""
    assert ada.token is not None
    claims = _claims(ada.token)
    assert set(claims) == {"sub", "iss", "aud", "iat", "exp", "jti"}
    assert claims["sub"] == str(ada.user["id"])
    assert (claims["iss"], claims["aud"]) == ("gtsd-api", "gtsd-client")
    assert claims["exp"] - claims["iat"] == 900


async def test_a_token_ends_after_fifteen_minutes(ada: Client, clock: FixedClock) -> None:
    """To the second."""
    clock.move(timedelta(minutes=14, seconds=59))
    assert (await ada.get("/auth/me")).status == 200
    clock.move(timedelta(seconds=1))
    assert (await ada.get("/auth/me")).status == 401


async def test_a_secret_is_rotated_without_signing_anybody_out(start: Start) -> None:
    """Tokens of the previous secret are accepted, those of a removed one are not."""
    old = await start()
    ada = await old.person()
    new = await start(jwt_secret=SECRET, jwt_secret_previous=old.deps.settings.jwt_secret)
    assert (await new.client.get("/auth/me", token=ada.token)).status == 200
    later = await start(jwt_secret=SECRET)
    assert (await later.client.get("/auth/me", token=ada.token)).status == 401


def _forged(token: str, secret: str) -> list[str]:
    """Tokens that nobody may get in with."""
    head, body, signature = token.split(".")
    claims, header = _claims(token), _header(token)
    made = [
        "",
        ".",
        "..",
        "...",
        "null",
        "undefined",
        token[:-1],
        token + "A",
        f" {token}x",
        token.upper(),
        f"{head}.{body}.",
        f"{head}.{body}",
        f".{body}.{signature}",
        f"{head}..{signature}",
        "a" * 5000,
        "\x7f",
        f"{head}.{body}.{'A' * 43}",
        f"{body}.{head}.{signature}",
    ]

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    for algorithm in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "PS256",
        "EdDSA",
    ):
        made += [f"{part({**header, 'alg': algorithm})}.{body}.{tail}" for tail in ("", signature)]
    kid = {"kid": header["kid"]}
    made += [jwt.encode(claims, secret, name, headers=kid) for name in ("HS384", "HS512")]
    kids: tuple[Any, ...] = (
        None,
        "",
        "other",
        1,
        [],
        {},
        "../../etc/passwd",
        "' OR 1=1",
        header["kid"] + "0",
    )
    made += [f"{part({**header, 'kid': name})}.{body}.{signature}" for name in kids]

    def signed(changes: dict[str, Any], drop: str | None = None) -> str:
        changed = {name: value for name, value in {**claims, **changes}.items() if name != drop}
        text = f"{head}.{part(changed)}"
        digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            text.encode(), secret.encode()
        )
        return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    made += [signed({}, drop=name) for name in claims]
    odd: tuple[Any, ...] = (
        None,
        "",
        " ",
        0,
        -1,
        1.5,
        True,
        [],
        {},
        "x",
        "0x1",
        "1e3",
        "\u0661",
        "9" * 30,
        2**70,
        [1],
        {"a": 1},
    )
    for name in claims:
        made += [
            signed({name: value}) for value in odd if not (name == "jti" and isinstance(value, str))
        ]
    made += [
        signed({"sub": "999999999"}),
        signed({"sub": claims["sub"] + " "}),
        signed({"sub": "-1"}),
        signed({"exp": claims["iat"] - 1}),
        signed({"iat": claims["iat"] + 3600, "exp": claims["exp"] + 3600}),
        signed({"iss": "gtsd"}),
        signed({"aud": "gtsd-admin"}),
        signed({"aud": []}),
    ]
    for wrong in ("", "secret", secret[:-1], secret + "x", secret.upper(), "a" * 64):
        made.append(jwt.encode(claims, wrong.ljust(40, "x"), "HS256", headers=kid))
    # Each character of the signature and the body, changed.
    for place in range(0, len(token), 4):
        if token[place] != ".":
            made.append(token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :])
    return made


async def test_no_forged_token_gets_in(service: Running, ada: Client) -> None:
    """More than 200, each refused with 401 and never a crash."""
    assert ada.token is not None
    secret = service.deps.settings.jwt_secret
    forged = _forged(ada.token, secret)
    assert len(forged) >= 200
    tokens = service.deps.tokens
    accepted = []
    for token in forged:
        with suppress(Unauthenticated):
            await _verify(service, tokens, token)
            accepted.append(token)
    assert [_claims(t) for t in accepted] == []
    sent = [token for token in forged if token.isprintable()]
    assert len(sent) >= 200
    for token in sent:
        answer = await service.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, token


async def _verify(service: Running, tokens: Any, token: str) -> None:
    verified = tokens.verify(token)
    # Rightly signed, for somebody who does not exist: refused by the next step.
    if await service.deps.accounts.find(verified.user_id) is None:
        raise Unauthenticated


@pytest.mark.parametrize("given", ["", "Basic abc", "Bearer", "Bearer ", "Token abc", "bearer  "])
async def test_anything_but_a_bearer_token_is_refused(service: Running, given: str) -> None:
    """With the challenge that RFC 9110 asks for."""
    answer = await service.client.get("/auth/me", headers={"Authorization": given})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
