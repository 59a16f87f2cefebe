"""Tokens that clients send: accepted, or refused without a word of why."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtsd.accounts.refresh import RefreshToken, hash_of, token_id
from gtsd.clock import FixedClock
from gtsd.errors import Unauthenticated
from gtsd.web.tokens import AccessTokens

SECRET = "a-secret-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-9876543210-ABC"
NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
TOKENS = AccessTokens(FixedClock(NOW), SECRET)
KID = jwt.get_unverified_header(TOKENS.issue(1, jti="j", at=0.0))["kid"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
CLAIMS: dict[str, Any] = {
    "sub": "7",
    "iss": "gtsd-api",
    "aud": "gtsd-client",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 900,
    "jti": "j",
}


def _signed(claims: dict[str, Any], kid: Any = KID) -> str:
    # Not by jwt.encode, which makes no tokens of a wrong shape.
    payload, header = json.dumps(claims).encode(), {"kid": kid} if kid else None
    return jwt.PyJWS().encode(payload, SECRET, algorithm="HS256", headers=header)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(token=st.text(max_size=60) | st.text("ab.-_=", max_size=60))
def test_any_text_is_refused_and_nothing_else_is_raised(token: str) -> None:
    """A token comes from whoever likes to send one."""
    with pytest.raises(Unauthenticated):
        TOKENS.verify(token)


@given(header=_JSON, claims=_JSON)
def test_any_json_in_the_parts_of_a_token_is_refused(header: Any, claims: Any) -> None:
    """Before the signature is known to be right, nothing in it has the shape it should have."""
    with pytest.raises(Unauthenticated):
        TOKENS.verify(f"{_part(header)}.{_part(claims)}.c2ln")
    with pytest.raises(Unauthenticated):
        TOKENS.verify(f"{_part({'alg': 'HS256', 'kid': header})}.{_part(claims)}.c2ln")


@given(name=st.sampled_from(sorted(CLAIMS)), value=_JSON)
def test_a_signed_claim_of_another_shape_is_refused(name: str, value: Any) -> None:
    """Signed by us is not enough; a name for the token may be any text."""
    if name == "jti" and isinstance(value, str):
        return
    if value == CLAIMS[name] or (name == "aud" and value == [CLAIMS["aud"]]):
        return
    if name == "sub" and isinstance(value, str) and value.isascii() and value.isdigit():
        return
    with pytest.raises(Unauthenticated):
        TOKENS.verify(_signed({**CLAIMS, name: value}))


def test_a_token_of_ours_is_accepted() -> None:
    """The control for all refusals here."""
    verified = TOKENS.verify(_signed(CLAIMS))
    assert (verified.user_id, verified.token_id) == (7, "j")
    assert verified == TOKENS.verify(TOKENS.issue(7, jti="j", at=NOW.timestamp()))


@pytest.mark.parametrize(
    "token",
    [
        _signed(CLAIMS, kid="other"),
        _signed(CLAIMS, kid=None),
        _signed(CLAIMS) + "x" * 2048,
        _signed({**CLAIMS, "sub": "٣"}),
        _signed({**CLAIMS, "sub": "9" * 20}),
        _signed({**CLAIMS, "exp": CLAIMS["exp"] + 1}),
        _signed({**CLAIMS, "iat": CLAIMS["iat"] + 61, "exp": CLAIMS["exp"] + 61}),
        _signed({**CLAIMS, "iat": float(CLAIMS["iat"])}),
        jwt.encode(CLAIMS, SECRET, algorithm="HS512", headers={"kid": KID}),
        jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": KID}),
    ],
)
def test_a_token_that_is_not_exactly_ours_is_refused(token: str) -> None:
    """Another key, algorithm, length or life."""
    with pytest.raises(Unauthenticated):
        TOKENS.verify(token)


def test_a_token_ends_with_its_last_second() -> None:
    """And of the previous secret it is as good until then."""
    clock = FixedClock(NOW)
    token = TOKENS.issue(7, jti="j", at=NOW.timestamp())
    rotated = AccessTokens(clock, "another-secret-0123456789-abcdefghijklmnopqrstuvwxyz", SECRET)
    clock.move(timedelta(seconds=899))
    assert rotated.verify(token).user_id == 7
    clock.move(timedelta(seconds=1))
    with pytest.raises(Unauthenticated):
        rotated.verify(token)


_TEXTS = (
    st.text(max_size=120)
    | st.from_regex(r"[0-9]{1,20}\.[A-Za-z0-9_+/=-]{80,90}", fullmatch=True)
    | st.builds(lambda head, tail: f"{head}.{tail}", st.text("0123456789٣", max_size=25), st.text())
)


@given(text=_TEXTS)
def test_any_text_for_a_refresh_token_is_one_or_the_given_refusal(text: str) -> None:
    """What is accepted leads to one user's rows and has a secret of the right length."""
    refusal = Unauthenticated("Sign in again.")
    try:
        token = RefreshToken.parse(text, refusal)
    except Unauthenticated as raised:
        assert raised is refusal
    else:
        assert 0 <= token.user_id < 10**18
        assert len(token.secret) == 64


@given(user_id=st.integers(0, 10**18 - 1), secret=st.binary(min_size=64, max_size=64))
def test_a_refresh_token_comes_back_as_it_was_given(user_id: int, secret: bytes) -> None:
    """The text has all of it; the id of its access tokens leads back to its hash."""
    token = RefreshToken(user_id, secret)
    assert RefreshToken.parse(token.text, Unauthenticated()) == token
    assert hash_of(token_id(token.hash)) == token.hash


@given(jti=st.text(max_size=50))
def test_any_name_of_an_access_token_gives_a_hash(jti: str) -> None:
    """A foreign one gives some bytes, which name no session."""
    assert isinstance(hash_of(jti), bytes)


def test_a_remembered_token_ends_when_it_ends() -> None:
    """It is verified once, and its end is looked at each time."""
    clock = FixedClock(NOW)
    tokens = AccessTokens(clock, SECRET)
    token = tokens.issue(7, jti="j", at=NOW.timestamp())
    assert tokens.verify(token) is tokens.verify(token)
    clock.move(timedelta(minutes=14, seconds=59))
    assert tokens.verify(token).user_id == 7
    clock.move(timedelta(seconds=1))
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            tokens.verify(token)


def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none that was refused: whoever sends rubbish must not fill the memory."""
    monkeypatch.setattr("gtsd.web.tokens._REMEMBERED", 3)
    tokens = AccessTokens(FixedClock(NOW), SECRET)
    for number in range(10):
        tokens.verify(tokens.issue(number + 1, jti="j", at=NOW.timestamp()))
        with pytest.raises(Unauthenticated):
            tokens.verify(f"rubbish {number}")
    assert len(tokens._known) == 3


def test_a_remembered_token_is_not_taken_for_a_similar_one() -> None:
    """The whole token counts, its signature too."""
    tokens = AccessTokens(FixedClock(NOW), SECRET)
    token = tokens.issue(7, jti="j", at=NOW.timestamp())
    tokens.verify(token)
    changed = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    with pytest.raises(Unauthenticated):
        tokens.verify(changed)
