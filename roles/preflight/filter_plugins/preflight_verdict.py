"""What the answers of the hosts mean: a list of findings, each green, red or unchecked."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Probe = Mapping[str, Any]
Limits = Mapping[str, Any]
Finding = dict[str, str]

_RELEASES = {"debian": ("12", "13")}
_HOUR = 3600
# Who may listen on our ports. The name is what the kernel shows, so at most 15 letters.
_OURS = {
    "http": ("edge", {"nginx"}),
    "https": ("edge", {"nginx"}),
    "postgresql": ("database", {"postgres"}),
    "patroni": ("database", {"patroni", "python3"}),
    "etcd_client": ("database", {"etcd"}),
    "etcd_peer": ("database", {"etcd"}),
    "redis": ("cache", {"redis-server", "valkey-server"}),
    "sentinel": ("cache", {"redis-sentinel", "valkey-sentinel", "redis-server", "valkey-server"}),
    "pgbouncer": ("app", {"pgbouncer"}),
    "database_door": ("app", {"haproxy"}),
    "cache_door": ("app", {"haproxy"}),
}
UNDEPLOYED = "nothing is deployed here yet"


def finding(host: str, check: str, state: str, says: str) -> Finding:
    """One line of the table."""
    return {"host": host, "check": check, "state": state, "says": says}


def unchecked(host: str, check: str, because: str) -> Finding:
    """What can be neither green nor red yet, and why."""
    return finding(host, check, "unchecked", f"cannot be checked, because {because}")


def limit(host: str, check: str, right: bool, good: str, bad: str) -> Finding:
    """Green with one text or red with the other."""
    return finding(host, check, "green" if right else "red", good if right else bad)


def unanswered(host: str, answer: Probe) -> Finding:
    """A host that could not be asked, in its own words."""
    why = str(answer.get("failed") or "no answer").split("ssh: ")[-1]
    what = "cannot be reached" if answer.get("unreachable") else "cannot be asked"
    return finding(host, "reachable", "red", f"{what}: {textwrap.shorten(why, 160)}")


def of_itself(host: str, probe: Probe, limits: Limits) -> Iterator[Finding]:
    """System, memory, disk and clock."""
    yield finding(host, "reachable", "green", "")
    system = probe["system"]
    yield limit(
        host,
        "system",
        system["VERSION_ID"] in _RELEASES.get(system["ID"], ()),
        system["PRETTY_NAME"],
        f"is {system['PRETTY_NAME'] or 'unknown'}; GTSD runs on Debian 12 and 13",
    )
    for check, has, least in (
        ("memory", probe["memory_mb"], limits["memory_mb"]),
        ("disk", probe["disk_free_mb"], limits["disk_mb"]),
    ):
        what = "MB" if check == "memory" else "MB free in /var/lib"
        text = f"{has} {what}"
        yield limit(host, check, has >= least, text, f"has {text}, and needs {least} at least")
    # Asked somewhere between the two moments of the controller, so only more than that is skew.
    early, late = limits["asked_from"] - probe["now"], probe["now"] - limits["asked_until"]
    skew = max(early, late, 0)
    behind = "behind" if early > late else "ahead of"
    bad = f"is {skew:.0f} s {behind} the controller; set it: timedatectl set-ntp true"
    yield limit(host, "clock", skew <= limits["skew"], "", bad)


def of_ports(host: str, probe: Probe, mine: set[str], ports: Mapping[str, int]) -> Finding:
    """Whether a foreign program has one of our ports."""
    wrong = []
    for name, (group, programs) in _OURS.items():
        there = set(probe["listeners"].get(str(ports[name]), [])) if group in mine else set()
        # systemd holds the sockets that it hands over.
        foreign = there - programs - {"systemd"}
        if foreign:
            wrong.append(f"{ports[name]} ({name}) is in use by {', '.join(sorted(foreign))}")
    return limit(host, "ports", not wrong, "", f"{'; '.join(wrong)}: stop and remove that program")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def of_links(host: str, probe: Probe, probes: Mapping[str, Probe]) -> Iterator[Finding]:
    """Whether this host reaches those that it needs."""
    failed, silent = [], []
    for link in probe["links"]:
        there = f"{link['host']}:{link['port']} ({link['name']})"
        target = probes.get(link["host"], {})
        if link["state"] == "open" or "listeners" not in target:
            continue
        if str(link["port"]) in target["listeners"] or link["state"] == "timeout":
            failed.append(f"{there}: {link['state']}")
        elif target["paths"]:
            failed.append(f"{there}: nothing listens")
        else:
            silent.append(there)
    if failed:
        yield finding(host, "reaches", "red", "does not reach " + ", ".join(failed))
    elif silent:
        yield unchecked(host, "reaches", f"nothing listens yet on {_few(silent)}")
    elif probe["links"]:
        yield finding(host, "reaches", "green", f"{len(probe['links'])} ports of other hosts")


def of_certificates(host: str, probe: Probe, limits: Limits) -> Iterator[Finding]:
    """Life left of each certificate on disk, and whether it is the one that is served."""
    prints = {}
    for item in probe["certificates"]:
        name = item["path"].split("/")[-2] if item["path"].endswith("cert.pem") else item["path"]
        check = f"certificate {name}"
        if "until" not in item:
            there = item["why"] != "there is none" or probe["paths"]
            text = f"{item['path']}: {item['why']}"
            yield finding(host, check, "red", text) if there else unchecked(host, check, UNDEPLOYED)
            continue
        prints[item["path"]] = item["sha256"]
        left, life = item["until"] - probe["now"], item["until"] - item["from"]
        days = f"{left / 24 / _HOUR:.0f} of {life / 24 / _HOUR:.0f} days left"
        yield limit(
            host,
            check,
            left > life * limits["life_percent"] / 100,
            days,
            f"{'has ended' if left <= 0 else days}: ansible-playbook playbooks/renew.yml",
        )
    for door in probe["doors"]:
        if door["path"] not in prints:
            continue
        check, where = f"served {door['name']}", f"port {door['port']}"
        if not door["sha256"]:
            yield finding(host, check, "red", f"{where} serves no certificate")
        else:
            bad = f"{where} serves another certificate than {door['path']}: reload the program"
            yield limit(host, check, door["sha256"] == prints[door["path"]], where, bad)


def of_service(host: str, probe: Probe) -> Iterator[Finding]:
    """Health of what runs here, its settings, and the migrations that wait."""
    if probe["pages"] and not probe["paths"]:
        yield unchecked(host, "health", UNDEPLOYED)
    elif probe["pages"]:
        wrong = [page for page in probe["pages"] if page["status"] != 200]
        texts = [f"{p['path']} on {p['port']}: {p['status'] or p['text']}" for p in wrong]
        good = f"{len(probe['pages'])} answer 200"
        yield limit(host, "health", not wrong, good, "; ".join(texts))
    for name, check in (("check", "settings"), ("migrate", "migrations")):
        if name not in probe["commands"]:
            continue
        done = probe["commands"][name]
        text = done["text"].splitlines()[-1] if done["text"] else ""
        if done["rc"] == -1:
            yield unchecked(host, check, "the service is not installed yet")
        else:
            yield limit(host, check, done["rc"] == 0, text[:100], done["text"])


def of_name(host: str, probe: Probe, domain: str, addresses: list[str]) -> Finding:
    """Whether the public name leads to an edge, seen from one."""
    found = set(probe["resolved"])
    foreign = sorted(found - set(addresses))
    if not found:
        return finding(host, "name", "red", f"{domain} has no address in DNS")
    bad = (
        f"{domain} leads to {', '.join(foreign)}, which is no edge; theirs are"
        f" {', '.join(addresses)} (a load balancer's: preflight_public_addresses)"
    )
    return limit(host, "name", not foreign, ", ".join(sorted(found)), bad)


def _reason(answer: Mapping[str, Any]) -> str:
    """The host's own last words rather than Ansible's about them."""
    inner = [answer, *(answer.get("failed_modules") or {}).values()]
    words = [str(item.get("module_stderr") or "").strip() for item in inner]
    return next((text.splitlines()[-1] for text in words if text), str(answer.get("msg") or ""))


def answers(hostvars: Mapping[str, Any], hosts: list[str]) -> dict[str, Probe]:
    """What each host answered, or why it did not."""
    found: dict[str, Probe] = {}
    for host in hosts:
        answer = hostvars[host].get("__preflight_answer") or {}
        away = answer.get("unreachable", False)
        found[host] = answer.get("probe") or {"failed": _reason(answer), "unreachable": away}
    return found


def preflight_verdict(
    hostvars: Mapping[str, Any],
    hosts: list[str],
    groups: Mapping[str, list[str]],
    limits: Limits,
    scope: str,
) -> list[Finding]:
    """Everything that the hosts' answers say, host by host."""
    findings: list[Finding] = []
    probes = answers(hostvars, hosts)
    for host, probe in probes.items():
        if "system" not in probe:
            findings.append(unanswered(host, probe))
            continue
        mine = {name for name, members in groups.items() if host in members}
        findings += of_itself(host, probe, limits)
        findings.append(of_ports(host, probe, mine, limits["ports"]))
        if scope == "all":
            if "edge" in mine:
                findings.append(of_name(host, probe, limits["domain"], limits["public_addresses"]))
            findings += of_links(host, probe, probes)
            findings += of_certificates(host, probe, limits)
            findings += of_service(host, probe)
    return findings


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {"preflight_verdict": preflight_verdict}
