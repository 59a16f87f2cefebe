"""Guessable secrets are found, random ones never are."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtsd.settings_strength import is_default_password, weakness_of_key


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        ("k" * 64, "different characters"),
        ("0123456" * 8, "different characters"),
        ("secret-key" * 5, "repeats"),
        ("q8Zr4LmW" * 4, "repeats"),
        ("q8Zr4LmW2xTn" * 3 + "q8Zr", "repeats"),
        ("abcdefghijklmnopqrstuvwxyz012345", "counts"),
        ("0987654321zyxwvutsrqponmlkjihgfe", "counts"),
        ("aabbccddeeffgghhiijjkkllmmnnoopp", "counts"),
        ("changeme-changeme-please-changeme!", "words"),
        ("your-super-secret-jwt-key-change-this-in-production", "words"),
        ("your-256-bit-secret-your-256-bit-token", "words"),
        ("your_jwt_secret_min_32_characters_long", "words"),
        ("development-secret-do-not-use-in-production", "words"),
        ("gtsd-dev-jwt-secret-at-least-32-characters", "words"),
        ("ThisIsAVerySecretKeyForSigningTokens", "words"),
        ("supersecretsupersecretsupersecre12", "words"),
    ],
)
def test_a_guessable_key_is_found(key: str, weakness: str) -> None:
    """Each is long enough and looks like those of tutorials and example files."""
    assert len(key) >= 32
    assert weakness in (weakness_of_key(key) or "")


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _base85(key: bytes) -> str:
    return base64.b85encode(key).decode()


@pytest.mark.parametrize("encode", [bytes.hex, _base64, _base85])
@settings(max_examples=300)
@given(key=st.randoms(use_true_random=True).map(lambda random: random.randbytes(32)))
def test_a_random_key_is_never_refused(encode: Callable[[bytes], str], key: bytes) -> None:
    """32 random bytes, written in any of the usual ways."""
    assert weakness_of_key(encode(key)) is None


def test_a_key_that_is_not_given_is_not_weak() -> None:
    """That it is missing is told elsewhere."""
    assert weakness_of_key("") is None


@pytest.mark.parametrize(
    ("password", "user", "default"),
    [
        ("password", "user", True),
        ("PASSWORD", "user", True),
        ("<password>", "gtsd", True),
        ("${PASSWORD}", "gtsd", True),
        ("postgres", "postgres", True),
        ("gtsd", "api", True),
        ("change-me", "api", True),
        ("your_secret_key", "your_access_key", True),
        ("minioadmin", "minioadmin", True),
        ("api-4711", "api-4711", True),
        ("xxxxxxxx", "api", True),
        ("", "", False),
        ("", "api", False),
        ("q7Vw2mXr9KtZ", "api", False),
    ],
)
def test_a_default_password_is_found(password: str, user: str, default: bool) -> None:
    """Those of servers and guides, the user's own name; none at all means another way to log in."""
    assert is_default_password(password, user) is default
