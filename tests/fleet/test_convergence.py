"""site.yml leads to one state: from a bare host, from wherever it was killed, from drift."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.fleet import disks
from tests.fleet.machines import rehearsal
from tests.fleet.machines.suite import kept
from tests.fleet.machines.tested import TestedFleet

_KILLS = 20
# The last points of time lie past all that a run has left to do.
_LONGEST = 40.0
_SEED = 20

pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="module")
def bare(fleet: TestedFleet) -> Iterator[TestedFleet]:
    """A second host of the same kind, to which nothing was done yet."""
    with kept("small", "bare") as found:
        rehearsal.give_release("bare")
        yield TestedFleet(found)


def leaked(secrets: dict[str, str], text: str) -> list[str]:
    """The names of the secrets that stand in a text."""
    return [name for name, value in secrets.items() if value in text]


def words(fleet: TestedFleet) -> dict[str, str]:
    """What is each fleet's own, and what it stands for."""
    values = {value: f"<{name}>" for name, value in fleet.secrets.items()}
    return {fleet.address("vm1"): "<address>", fleet.gateway: "<gateway>", **values}


def state(fleet: TestedFleet) -> dict[str, tuple[str, str, bytes]]:
    """The disk of the host as the playbook left it."""
    return disks.state(fleet.root("vm1"), words(fleet))


def test_a_dry_run_on_a_bare_host_changes_nothing_and_tells_no_secret(bare: TestedFleet) -> None:
    """`--check --diff` is how an operator asks what would happen; -vvv is what is pasted."""
    before = state(bare)
    play = bare.play("site.yml", "--check", "--diff", "-vvv")
    assert play.rc == 0, play.stdout[-4000:]
    assert play.changed > 50
    assert not disks.differences(before, state(bare))
    assert not leaked(bare.secrets, play.stdout)
    name, value = next(iter(bare.secrets.items()))
    assert leaked(bare.secrets, f"{play.stdout} {value}") == [name]


def test_a_run_killed_at_twenty_points_leads_to_the_same_state(
    fleet: TestedFleet, bare: TestedFleet
) -> None:
    """The operator's machine may die at any moment; the next run makes good what is half done."""
    chance = random.Random(_SEED)
    unharmed = 0
    for _ in range(_KILLS):
        seconds = chance.uniform(2.0, _LONGEST)
        unharmed += bare.play("site.yml", killed_after=seconds).rc == 0
    assert unharmed < _KILLS / 2
    last = bare.play("site.yml", "--diff", "-vvv")
    assert last.rc == 0, last.stdout[-4000:]
    assert not leaked(bare.secrets, last.stdout)
    again = bare.play("site.yml")
    assert (again.rc, again.changes) == (0, [])
    found, wanted = state(bare), state(fleet)
    assert disks.differences(found, wanted) == []
    assert bare.outside_curl("/ready").stdout.startswith("{")


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
    "/etc/nftables.conf": "rm {}",
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
