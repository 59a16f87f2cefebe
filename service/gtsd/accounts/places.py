"""Whether somebody signs in from where they have been before, and how that place is told."""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from gtsd.accounts import mailed_queries as q
from gtsd.mails import operations as mails
from gtsd.mails.types import Letter

if TYPE_CHECKING:
    from datetime import datetime

    from gtsd.accounts.sessions import Place
    from gtsd.deps import Deps
    from gtsd.stores.postgres import Transaction

# Programs update themselves, which makes no new place.
_VERSIONS: Final = re.compile(r"[0-9][0-9._]*")
# The first that is found counts: most programs name those whose pages they want to get as well.
_PROGRAMS: Final = {
    "Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "FxiOS": "Firefox", "CriOS": "Chrome",
    "Chrome": "Chrome", "Safari": "Safari", "okhttp": "an app", "CFNetwork": "an app",
}  # fmt: skip
_SYSTEMS: Final = {
    "iPhone": "an iPhone", "iPad": "an iPad", "Android": "Android", "Windows": "Windows",
    "CrOS": "ChromeOS", "Mac OS": "a Mac", "Darwin": "an Apple device", "Linux": "Linux",
}  # fmt: skip


async def note(deps: Deps, tx: Transaction, user_id: int, place: Place) -> bool:
    """Remember a sign-in; whether it is from a new place, and not the account's first."""
    is_new: bool = await tx.value(
        q.NOTE_PLACE, user_id=user_id, place=fingerprint(place), now=deps.clock.now()
    )
    return is_new


async def tell_if_new(deps: Deps, tx: Transaction, user_id: int, place: Place) -> None:
    """Mail the owner about a sign-in from a place that was never seen of the account."""
    if not await note(deps, tx, user_id, place) or deps.mails is None:
        return
    row = await tx.row(q.CONTACT, user_id=user_id)
    if row is None:
        return
    email, verified, name, timezone = row
    letter = Letter(
        id=mails.new_id(),
        kind="new_sign_in",
        to=email,
        name=name if verified else "",
        values={
            "when": _moment(deps.clock.now(), timezone),
            "program": described(place.user_agent),
            "address": place.address or "unknown",
        },
    )
    await mails.post(deps, tx, letter)


def fingerprint(place: Place) -> bytes:
    """What tells places apart: the program without its versions, and the network."""
    network = _network(place.address) if place.address else ""
    return hashlib.sha256(f"{_VERSIONS.sub('', place.user_agent)}\0{network}".encode()).digest()


def _network(address: str) -> str:
    """What stays the same when a provider hands out another address: mostly a town or an office."""
    ip = ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    known = mapped or ip
    return str(ip_network((int(known), 24 if isinstance(known, IPv4Address) else 48), strict=False))


def described(user_agent: str) -> str:
    """Program and system in our own words: what a stranger sends is not put into a mail."""
    program = next((name for sign, name in _PROGRAMS.items() if sign in user_agent), "")
    system = next((name for sign, name in _SYSTEMS.items() if sign in user_agent), "")
    if not program and not system:
        return "a program that we do not know"
    return f"{program or 'a program'} on {system}" if system else program


def _moment(now: datetime, timezone: str) -> str:
    local = now.astimezone(ZoneInfo(timezone))
    return f"{local:%A, %d %B %Y, %H:%M} ({timezone})"
