"""Secrets that an attacker would guess: defaults, examples, patterns."""

from __future__ import annotations

import itertools
import re
from typing import Final

_PASSWORDS: Final = """
    admin administrator change_me changeit changeme default demo dev development example gtsd
    letmein localhost minioadmin mypassword pass passw0rd password password1 password123 pg
    placeholder postgres postgresql qwerty redis replace_me replaceme root s3cret secret test
    testing user welcome your_access_key your_password your_secret_key 123456 12345678 123456789
    1234567890
"""
_DEFAULT_PASSWORDS: Final = frozenset(_PASSWORDS.split())
# Left as it was in an example, or as a shell would have replaced it.
_PLACEHOLDER: Final = re.compile(r"<.*>|\$\{.*\}|\$\(.*\)")
# What examples of signing keys are made of; each at least three letters, longest first.
_WORDS: Final = """
    access auth bit byte change changeme changeit char character default demo dev
    development dont ensure env example fake for gtsd here hmac hs256 important insecure
    jwt key keyboard least local long minimum must not only password placeholder please
    prod production random refresh replace sample sec secret should sign signing some
    staging string strong super supersecret test testing that the this token use value
    very with you your
"""
_WORD: Final = re.compile("|".join(sorted(_WORDS.split(), key=len, reverse=True)))
_DISTINCT: Final = 8
_STEP_SHARE: Final = 0.5
_WORD_SHARE: Final = 0.5


def is_default_password(password: str, user: str) -> bool:
    """Whether it would be tried first; no password at all is not one."""
    if not password:
        return False
    if _PLACEHOLDER.fullmatch(password):
        return True
    bare = password.lower().replace("-", "_")
    return bare in _DEFAULT_PASSWORDS or password == user or len(set(bare)) <= 1


def weakness_of_key(key: str) -> str | None:
    """What makes a signing key guessable; None for one that a random generator made.

    32 hexadecimal digits, the least that passes the length check, hold fewer than 8 different
    ones in far less than one of a million cases, so no random key is refused in practice.
    """
    if not key:
        return None
    if len(set(key)) < _DISTINCT:
        return f"it has fewer than {_DISTINCT} different characters"
    if _repeats(key):
        return "it repeats itself"
    if _runs(key) > _STEP_SHARE:
        return "it counts up or down, like abcdef or 123456"
    letters = re.sub(r"[^a-z0-9]", "", key.lower())
    if len(_WORD.sub("", letters)) <= len(letters) * (1 - _WORD_SHARE):
        return "it is made of words, like an example"
    return None


def _repeats(key: str) -> bool:
    """A piece of at most half its length fills all of it."""
    return any(key[period:] == key[:-period] for period in range(1, len(key) // 2 + 1))


def _runs(key: str) -> float:
    """The share of neighbours that are one step apart."""
    steps = [abs(ord(right) - ord(left)) for left, right in itertools.pairwise(key)]
    return sum(step <= 1 for step in steps) / len(steps)
