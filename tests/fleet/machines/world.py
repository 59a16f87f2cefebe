"""The world outside of a fleet: Pebble as the certificate authority, and the DNS that it asks."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

from tests.fleet.machines import cgroups, identity
from tests.fleet.machines.commands import Refused, wait
from tests.fleet.machines.places import Places
from tests.fleet.machines.shapes import PUBLIC_NAME, Plan

_MEMBER = "world"
_DNS, _DNS_ADMIN, _PEBBLE_ADMIN = 8053, 8055, 15000


def start(plan: Plan) -> None:
    """Both servers, on the gateway's address; Pebble keeps its habit of refusing good nonces."""
    places = Places(plan.name)
    gateway = plan.gateway
    dns = [
        "pebble-challtestsrv", "-dns01", f"{gateway}:{_DNS}", "-management",
        f"{gateway}:{_DNS_ADMIN}", "-http01", "", "-https01", "", "-tlsalpn01", "",
        "-defaultIPv4", "", "-defaultIPv6", "", *_unless_old("-doh", ""),
    ]  # fmt: skip
    config = places.state / "acme" / "pebble.json"
    config.write_text(json.dumps(_pebble(plan, places)))
    pebble = ["pebble", "-config", str(config), "-dnsserver", f"{gateway}:{_DNS}"]
    _spawn(plan, "dns", dns)
    _spawn(plan, "pebble", pebble)
    if not wait(lambda: _is_up(plan), 15):
        said = (places.state / "acme" / "pebble.log").read_text()[-600:]
        raise Refused(f"The rehearsal's certificate authority does not start on {gateway}: {said}")
    _name_edges(plan)
    places.public_ca.write_text(_fetch(plan, "/roots/0"))


def _pebble(plan: Plan, places: Places) -> dict[str, object]:
    folder = places.state / "acme"
    accounts = identity.make_customer(places) if plan.binds_accounts else {}
    keys = {accounts["acme_eab_kid"]: accounts["acme_eab_hmac_key"]} if accounts else {}
    return {
        "pebble": {
            # Where the hosts' firewall lets them out to any ACME server.
            "listenAddress": f"{plan.gateway}:443",
            "managementListenAddress": f"{plan.gateway}:{_PEBBLE_ADMIN}",
            "certificate": str(folder / "server.crt"),
            "privateKey": str(folder / "server.key"),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": plan.binds_accounts,
            "externalAccountMACKeys": keys,
        }
    }


def _unless_old(option: str, value: str) -> list[str]:
    """An option that Debian 12's version does not have yet."""
    told = subprocess.run(
        ["pebble-challtestsrv", "-help"], capture_output=True, text=True, check=False
    )
    return [option, value] if f"{option} " in told.stderr + told.stdout else []


def _spawn(plan: Plan, name: str, command: list[str]) -> None:
    # No wait of up to 15 s before each look at a challenge.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PEBBLE_VA_NOSLEEP": "1"}
    with (Places(plan.name).state / "acme" / f"{name}.log").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", *cgroups.inside(plan.name, _MEMBER), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            check=True,
        )


def _is_up(plan: Plan) -> bool:
    try:
        _fetch(plan, "/roots/0")
        with socket.create_connection((plan.gateway, _DNS_ADMIN), 1):
            return True
    except OSError:
        return False


def _name_edges(plan: Plan) -> None:
    """The public name has the addresses of all edges, so any of them may be asked."""
    record = {"host": f"{PUBLIC_NAME}.", "addresses": plan.edges()}
    url = f"http://{plan.gateway}:{_DNS_ADMIN}/add-a"
    _open(urllib.request.Request(url, json.dumps(record).encode(), method="POST"))


def _fetch(plan: Plan, path: str) -> str:
    """From Pebble's port for its operator."""
    url = f"https://{plan.gateway}:{_PEBBLE_ADMIN}{path}"
    ca = Places(plan.name).state / "acme" / "ca.crt"
    return _open(urllib.request.Request(url), ca)


def _open(request: urllib.request.Request, ca: Path | None = None) -> str:
    context = ssl.create_default_context(cafile=ca) if ca else None
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    with urllib.request.build_opener(*handlers).open(request, timeout=5) as answer:
        text: str = answer.read().decode()
    return text
