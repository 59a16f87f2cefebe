"""site.yml leads to one state: from a bare host, from wherever it was killed, from drift."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from roles.preflight.filter_plugins.preflight_release import public_half
from tests.fleet import disks, environment
from tests.fleet.machines import plays, rehearsal
from tests.fleet.machines.commands import say
from tests.fleet.machines.places import PROJECT
from tests.fleet.machines.plays import Play
from tests.fleet.machines.suite import KINDS, kept
from tests.fleet.machines.tested import TestedFleet

_KILLS = 20
# Seconds into a role, which a quick one has ended by then.
_LONGEST = 6.0
_SEED = 20
_PAGE = (PROJECT / "playbooks/site.yml").read_text()
# As they follow each other.
_ROLES = re.findall(r"role: (\w+), tags: (?!always)", _PAGE)

pytestmark = [pytest.mark.beside, pytest.mark.timeout(2400)]


class Bare(NamedTuple):
    """A host to which nothing was done yet, and the inventory that an operator made for it."""

    fleet: TestedFleet
    environment: Path

    @property
    def secrets(self) -> dict[str, str]:
        """What must not be seen."""
        password = (self.environment / ".vault-password").read_text().strip()
        vault = environment.secrets(self.environment)
        known = {name: value for name, value in self.fleet.secrets.items() if "eab" in name}
        return {**vault, **known, "vault password": password}

    def play(self, *arguments: str, **killed: Any) -> Play:
        """site.yml, as for production."""
        inventory = str(self.environment.relative_to(PROJECT))
        return plays.play(self.fleet.name, "site.yml", *arguments, inventory=inventory, **killed)


@pytest.fixture(scope="module")
def bare(fleet: TestedFleet) -> Iterator[Bare]:
    """Of the same kind as the first host, but deployed by an inventory with a vault."""
    kind = next(kind for kind, made in KINDS.items() if made == (fleet.shape, fleet.suite))
    with kept(kind, "bare") as found:
        rehearsal.give_release("bare")
        tested = TestedFleet(found)
        with environment.made_for(tested, "tried") as folder:
            yield Bare(tested, folder)


def leaked(secrets: dict[str, str], text: str) -> list[str]:
    """The names of the secrets that stand in a text."""
    # A key has several lines, which an output may put further to the right.
    return [
        name
        for name, value in secrets.items()
        if any(line in text for line in value.splitlines() if not line.startswith("-----"))
    ]


def words(fleet: TestedFleet, secrets: dict[str, str]) -> dict[str, str]:
    """What is each fleet's own, and what it stands for."""
    values = {value: f"<{name}>" for name, value in secrets.items()}
    # As Redis keeps passwords.
    sums = {name: sha256(value.encode()).hexdigest() for name, value in secrets.items()}
    values |= {value: f"<sum of {name}>" for name, value in sums.items()}
    values[str(public_half(secrets["gtsd_release_key"]))] = "<signer of releases>"
    # By which the monitor trusts the public certificate.
    values[(fleet.state / "public-ca.pem").read_text()] = "<public CA>"
    return {fleet.address("vm1"): "<address>", fleet.gateway: "<gateway>", **values}


def state(
    fleet: TestedFleet, secrets: dict[str, str] | None = None
) -> dict[str, tuple[str, str, bytes]]:
    """The disk of the host as the playbook left it."""
    return disks.state(fleet.root("vm1"), words(fleet, secrets or fleet.secrets))


def test_a_dry_run_on_a_bare_host_changes_nothing_and_tells_no_secret(bare: Bare) -> None:
    """`--check --diff` is how an operator asks what would happen; -vvv is what is pasted."""
    before = state(bare.fleet)
    play = bare.play("--check", "--diff", "-vvv")
    assert play.rc == 0, play.stdout[-4000:]
    assert play.changed > 30
    assert not disks.differences(before, state(bare.fleet))
    assert not leaked(bare.secrets, play.stdout)
    name, value = next(iter(bare.secrets.items()))
    assert leaked(bare.secrets, f"{play.stdout} {value}") == [name]


def test_a_run_killed_at_twenty_points_leads_to_the_same_state(
    fleet: TestedFleet, bare: Bare
) -> None:
    """The operator's machine may die at any moment; the next run makes good what is half done.

    The points lie in all roles, each on its first time. A run goes on with the role in which the
    last one died: what comes before is done, and would take most of the time.
    """
    chance = random.Random(_SEED)
    unharmed = since = 0
    for number in range(_KILLS):
        at = number * len(_ROLES) // _KILLS
        tags = ",".join(_ROLES[since : at + 1])
        seconds = chance.uniform(0.1, _LONGEST)
        died = bare.play("--tags", tags, killed_at=f"[{_ROLES[at]} : ", killed_after=seconds)
        say(f"{tags}: {'unharmed' if died.rc == 0 else f'killed after {seconds:.1f} s'}")
        assert died.rc in (0, -signal.SIGKILL), died.stdout[-4000:]
        unharmed += died.rc == 0
        since = at
    assert unharmed < _KILLS / 2
    last = bare.play("--diff", "-vvv")
    assert last.rc == 0, last.stdout[-4000:]
    assert not leaked(bare.secrets, last.stdout)
    again = bare.play()
    assert (again.rc, again.changes) == (0, [])
    found, wanted = state(bare.fleet, bare.secrets), state(fleet)
    assert disks.differences(found, wanted) == []
    assert bare.fleet.outside_curl("/ready").stdout.startswith("{")


def test_a_comparison_sees_what_a_killed_run_left_out(fleet: TestedFleet) -> None:
    """The control: one line, one mode and one missing file are each a difference."""
    wanted = state(fleet)
    mode, owner, contents = wanted["etc/nftables.conf"]
    line = {**wanted, "etc/nftables.conf": (mode, owner, contents + b"\n")}
    rights = {**wanted, "etc/nftables.conf": ("0777", owner, contents)}
    missing = {path: file for path, file in wanted.items() if path != "etc/nftables.conf"}
    for other in (line, rights, missing):
        assert disks.differences(other, wanted) == ["etc/nftables.conf"]


DRIFT = {
    "/etc/nginx/nginx.conf": "echo '# by hand' >> {}",
    "/etc/haproxy/haproxy.cfg": "echo '# by hand' >> {}",
    "/etc/patroni/config.yml": "chmod 0644 {}",
    "/etc/nftables.conf": "echo '# by hand' >> {}",
    "/etc/gtsd/gtsd.env": "echo LOG_LEVEL=debug >> {}",
    "/etc/gtsd/credentials/jwt_secret": "chmod 0644 {}",
    "/etc/redis/server.acl": "echo 'user guest on nopass ~* +@all' >> {}",
    "/etc/pgbouncer/gtsd.ini": "chown root:root {}",
    "/etc/ssh/sshd_config.d/00-gtsd.conf": "echo 'PermitRootLogin yes' >> {}",
}


def test_what_was_changed_by_hand_is_put_right_and_named(fleet: TestedFleet) -> None:
    """Hosts are what the repository says, and the run tells what was not."""
    before = state(fleet)
    host = fleet.host("vm1")
    for path, deed in DRIFT.items():
        host.check_output(deed.format(path))
    assert disks.differences(before, state(fleet)) == sorted(path[1:] for path in DRIFT)
    play = fleet.play("site.yml", "--diff")
    assert play.rc == 0, play.stdout[-4000:]
    assert disks.differences(before, state(fleet)) == []
    assert [path for path in DRIFT if path not in play.stdout] == []
    assert not leaked(fleet.secrets, play.stdout)
    assert fleet.play("site.yml").changes == []
