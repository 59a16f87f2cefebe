"""How a place is recognised, and told in our own words."""

from __future__ import annotations

import pytest

from gtsd.accounts.places import described, fingerprint
from gtsd.accounts.sessions import Place

CHROME = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (CHROME, "Chrome on Android"),
        (CHROME.replace("Chrome", "Edg/131 Chrome"), "Edge on Android"),
        ("gtsd/3 CFNetwork/1568 Darwin/24.1.0", "an app on an Apple device"),
        ("okhttp/4.12", "an app"),
        ("curl/8.10 (Linux)", "a program on Linux"),
        ("", "a program that we do not know"),
        ("Win a prize: evil.example", "a program that we do not know"),
    ],
)
def test_a_program_is_told_in_our_own_words(agent: str, words: str) -> None:
    """Whatever it says of itself, no word of that is used."""
    assert described(agent) == words


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.9", "203.0.113.200", True),
        ("203.0.113.9", "203.0.114.9", False),
        ("203.0.113.9", "::ffff:203.0.113.10", True),
        ("2001:db8:1:2::1", "2001:db8:1:ffff::9", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("", "", True),
        ("", "203.0.113.9", False),
    ],
)
def test_a_network_is_one_place(one: str, other: str, same: bool) -> None:
    """256 addresses of IPv4, a /48 of IPv6; no address is a place of its own."""
    assert (fingerprint(Place(CHROME, one)) == fingerprint(Place(CHROME, other))) is same
