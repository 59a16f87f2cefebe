"""What request headers say of a client: its id, its address, what it knows already."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gtsd.web import headers

PROXIES = [ipaddress.ip_network(net) for net in ("127.0.0.1/32", "::1/128", "10.0.0.0/8")]
_ADDRESSES = st.ip_addresses().map(str)


@given(given_id=st.none() | st.text(max_size=140) | st.from_regex(r"[A-Za-z0-9._-]{1,130}"))
def test_a_request_id_is_always_fit_for_a_log(given_id: str | None) -> None:
    """The client's own if it is; nothing of it otherwise."""
    made = headers.request_id(given_id)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", made)
    fit = given_id is not None and re.fullmatch(r"[A-Za-z0-9._-]{1,128}", given_id)
    assert (made == given_id) == bool(fit)


@given(peer=_ADDRESSES, forwarded=st.none() | st.text(max_size=80))
def test_any_forwarded_text_gives_an_address(peer: str, forwarded: str | None) -> None:
    """One of the few spellings that the database and the limits take."""
    found = headers.client_address(peer, forwarded, PROXIES)
    assert found == str(ipaddress.ip_address(found))
    assert "%" not in found


@given(peer=_ADDRESSES, forwarded=st.lists(_ADDRESSES, max_size=4))
def test_a_stranger_cannot_choose_its_address(peer: str, forwarded: list[str]) -> None:
    """Only what a trusted proxy wrote is believed."""
    own = ipaddress.ip_address(headers.client_address(peer, None, []))
    assume(not any(own in network for network in PROXIES))
    assert headers.client_address(peer, ", ".join(forwarded), PROXIES) == str(own)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1,", "127.0.0.1"),
        ("192.0.2.1, unknown", "127.0.0.1"),
        ("192.0.2.1:5678", "127.0.0.1"),
        ("6.6.6.6, unknown, 10.1.1.1", "10.1.1.1"),
        ("10.1.1.1", "10.1.1.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_counts(forwarded: str, address: str) -> None:
    """What cannot be read ends the search at the last hop that could."""
    assert headers.client_address("127.0.0.1", forwarded, PROXIES) == address


@given(body=st.binary(max_size=40), other=st.binary(max_size=40), noise=st.text(max_size=30))
def test_a_condition_holds_for_equal_bytes_only(body: bytes, other: bytes, noise: str) -> None:
    """In a list, weak or strong; never for another body's tag or for nonsense."""
    tag = headers.etag(body)
    assert re.fullmatch(r'"[0-9a-f]{24}"', tag)
    for condition in (tag, f"W/{tag}", "*", f'"x", {tag}', f',, {tag} ,"y"', f'"a,b",{tag}'):
        assert headers.matches(condition, tag)
    assert headers.matches(headers.etag(other), tag) == (body == other)
    assert not headers.matches(noise.replace("*", ""), tag)
    assert not headers.matches(tag.strip('"'), tag)
    assert not headers.matches(None, tag)


def test_a_browser_is_told_what_it_may_only_on_a_listed_origin() -> None:
    """Nothing of CORS where no origin is listed; never credentials (fault 19)."""
    listed = ["https://app.example"]
    assert headers.cors("https://app.example", []) == {}
    assert headers.cors("https://evil.example", listed) == {"Vary": "Origin"}
    assert headers.cors(None, listed) == {"Vary": "Origin"}
    allowed = headers.cors("https://app.example", listed)
    assert allowed["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in allowed
    assert headers.preflight(["GET", "HEAD"])["Access-Control-Allow-Methods"] == "GET, HEAD"
