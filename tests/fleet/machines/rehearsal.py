"""`make rehearsal`: from nothing to an answer over HTTPS, and what it took."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass, field

from requirements.release_names import archive_of, signature_of
from requirements.release_signature import sign
from tests.fleet.machines import fleet, image, prerequisites
from tests.fleet.machines.commands import Refused, attempt, run, say
from tests.fleet.machines.places import PROJECT, Places, running
from tests.fleet.machines.plays import play
from tests.fleet.machines.shapes import PUBLIC_NAME, Plan, Shape


@dataclass
class Times:
    """How long each part took by the clock on the wall."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def end(self, part: str) -> None:
        """A part ends now, and the next one begins."""
        now = time.monotonic()
        self.seconds[part] = now - self._since
        self._since = now

    def table(self) -> list[str]:
        """For people."""
        return [f"  {part:22} {seconds:7.1f} s" for part, seconds in self.seconds.items()]


def rehearse(name: str, shape: Shape, suite: str) -> None:
    """Everything that an operator does for production, with hosts that are made here."""
    times = Times()
    found = have_fleet(name, shape, suite, times)
    give_release(name)
    times.end("release archive")
    result = play(name, "site.yml", show=True)
    times.end("site.yml")
    kept = found.keep_packages()
    if kept:
        say(f"{kept} packages were downloaded and are kept for the next rehearsal")
    if result.rc:
        raise Refused(
            f"site.yml failed; the hosts stay up: run it again with\n  {_again(name)}\n"
            f"or take them away with make rehearsal-down{_name_argument(name)}"
        )
    ask(found.plan)
    times.end("first answer")
    say(summary(found.plan, times))


def have_fleet(name: str, shape: Shape, suite: str, times: Times) -> fleet.Fleet:
    """The fleet of this name, started unless it is up."""
    if name in running():
        found = fleet.find(name)
        if (found.plan.shape.name, found.plan.suite) != (shape.name, suite):
            raise Refused(
                f"{name} is up already, as {found.plan.shape.name} on {found.plan.suite}; first"
                f" make rehearsal-down{_name_argument(name)}"
            )
        return found
    prerequisites.check(shape, suite)
    times.end("looking at the machine")
    image.image_for(suite)
    times.end("image")
    made = fleet.up(name, shape, suite)
    times.end("boot")
    return made


def give_release(name: str) -> None:
    """Build the archive and keep it, signed, with the fleet: a release never changes."""
    page = PROJECT / "inventories" / "rehearsal" / "group_vars" / "all" / "main.yml"
    found = re.search(r"^gtsd_version: (\S+)$", page.read_text(), re.MULTILINE)
    assert found
    places = Places(name)
    kept = archive_of(found[1], places.state)
    if not signature_of(kept).exists():
        key = {"GTSD_RELEASE_KEY_FILE": str(places.release_key)}
        run("make", "-C", PROJECT, "release", f"VERSION={found[1]}", env=key)
        shutil.copyfile(archive_of(found[1], PROJECT / "dist"), kept)
        # Not the signature from there: another rehearsal may have put its own over it meanwhile.
        sign(kept, places.release_key)


def curl_command(plan: Plan, address: str, path: str = "/ready") -> list[str]:
    """A request that can be pasted into a shell of this machine."""
    ca = str(Places(plan.name).public_ca)
    resolve = f"{PUBLIC_NAME}:443:{address}"
    url = f"https://{PUBLIC_NAME}{path}"
    return ["curl", "--fail", "--cacert", ca, "--resolve", resolve, url]


def ask(plan: Plan) -> None:
    """Each edge must answer over HTTPS, with a certificate that its authority stands for."""
    for address in plan.edges():
        command = curl_command(plan, address)
        ends = time.monotonic() + 15
        while not attempt(*command, "--max-time", "5", "--noproxy", "*"):
            if time.monotonic() > ends:
                raise Refused(f"No healthy answer over HTTPS: {' '.join(command)}")
            time.sleep(0.5)


def summary(plan: Plan, times: Times) -> str:
    """Where everything is, and what it took."""
    rows = [f"  https://{PUBLIC_NAME}/  on {', '.join(plan.edges())}"]
    rows += [f"  ssh {host:8} {plan.address(host)}" for host in plan.shape.members]
    return "\n".join(
        [
            "",
            f"{plan.name}: {plan.shape.name} on {plan.suite}",
            *rows,
            "",
            *times.table(),
            "",
            f"  {' '.join(curl_command(plan, plan.edges()[0]))}",
            f"  ssh -F {Places(plan.name).ssh_config} {plan.shape.hosts[0]}",
            f"  {_again(plan.name)}",
            f"  make rehearsal-down{_name_argument(plan.name)}",
        ]
    )


def _again(name: str) -> str:
    chosen = "" if name == "rehearsal" else f"GTSD_REHEARSAL={name} "
    return (
        f"{chosen}.venvs/ansible/bin/ansible-playbook -i inventories/rehearsal playbooks/site.yml"
    )


def _name_argument(name: str) -> str:
    return "" if name == "rehearsal" else f" NAME={name}"
