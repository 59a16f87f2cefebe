"""The cache: what each user may say, who is master, and what a rerun leaves alone."""

from __future__ import annotations

import shlex
import time
from functools import partial

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.shipping import until

SERVER, SENTINEL = 6379, 26379
BOTH = pytest.mark.shape("small", "full")


def ask(fleet: TestedFleet, host: str, user: str, *commands: str, port: int = SERVER) -> str:
    """The answers to a login and to some commands, one after the other; none while it boots."""
    lines = [f"AUTH {user} {fleet.secrets[f'redis_{user}_password']}", *commands]
    told = fleet.host(host).run(
        f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} |"
        f" redis-cli --tls --cacert /etc/gtsd/pki/ca.pem -p {port}"
    )
    return str(told.stdout)


def say(fleet: TestedFleet, host: str, user: str, *commands: str, port: int = SERVER) -> str:
    """The answers of a server that is there, without that to the login."""
    answer = ask(fleet, host, user, *commands, port=port)
    assert answer.startswith("OK"), answer
    return answer.removeprefix("OK").strip()


def masters(fleet: TestedFleet) -> list[str]:
    """Which hosts say that they are master."""
    return [
        name
        for name in fleet.names("cache")
        if "role:master" in ask(fleet, name, "monitor", "INFO replication")
    ]


def until_one_master(fleet: TestedFleet, followers: int, seconds: float = 60) -> str:
    """The only master, as soon as so many follow it; fails when that takes longer."""
    deadline = time.monotonic() + seconds
    while True:
        found = masters(fleet)
        if len(found) == 1 and f"connected_slaves:{followers}" in say(
            fleet, found[0], "monitor", "INFO replication"
        ):
            return found[0]
        assert time.monotonic() < deadline, found
        time.sleep(1)


@BOTH
@pytest.mark.both_releases
def test_nothing_is_served_without_tls(fleet: TestedFleet) -> None:
    """Neither by the server nor, where there is one, by Sentinel."""
    host = fleet.host(fleet.names("cache")[0])
    for port in (SERVER, SENTINEL)[: 1 if len(fleet.names("cache")) == 1 else 2]:
        assert "PONG" not in host.run(f"echo PING | timeout 5 redis-cli -p {port}").stdout
    assert "PONG" in say(fleet, fleet.names("cache")[0], "app", "PING")


@BOTH
@pytest.mark.both_releases
def test_nobody_comes_in_without_a_name(fleet: TestedFleet) -> None:
    """The default user is off, and so is the name that older clients give."""
    host = fleet.host(fleet.names("cache")[0])
    client = "redis-cli --tls --cacert /etc/gtsd/pki/ca.pem"
    assert "NOAUTH" in host.run(f"echo PING | {client}").stdout
    assert "WRONGPASS" in host.run(f"echo 'AUTH default default' | {client}").stdout


@pytest.mark.parametrize(
    "command",
    [
        'EVAL "return 1" 0', "EVALSHA 0 0", "FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST",
        "SCAN 0", "MONITOR", "SHUTDOWN", "REPLICAOF NO ONE", "SET other 1", "GET other",
    ],
)  # fmt: skip
def test_the_app_may_not_say(fleet: TestedFleet, command: str) -> None:
    """Scripts, what is dangerous, and any key that is not the service's."""
    master = until_one_master(fleet, len(fleet.names("cache")) - 1)
    assert "NOPERM" in say(fleet, master, "app", command)


def test_the_app_may_do_its_work(fleet: TestedFleet) -> None:
    """Each command that the service sends."""
    master = until_one_master(fleet, len(fleet.names("cache")) - 1)
    answers = say(
        fleet, master, "app", "SET gtsd:try 1 EX 60", "GET gtsd:try", "INCRBY gtsd:try 1",
        "PEXPIRE gtsd:try 1000", "DEL gtsd:try", "HSET gtsd:try a 1", "HSETNX gtsd:try b 2",
        "HMGET gtsd:try a b", "HGET gtsd:try a", "EXPIRE gtsd:try 9", "DEL gtsd:try", "PING",
    )  # fmt: skip
    assert "NOPERM" not in answers
    assert answers.endswith("PONG")


@pytest.mark.parametrize("user", ["monitor", "haproxy", "replica", "sentinel"])
def test_the_others_see_no_keys(fleet: TestedFleet, user: str) -> None:
    """Nor the passwords in the server's settings."""
    master = until_one_master(fleet, len(fleet.names("cache")) - 1)
    for command in ("GET gtsd:try", "CONFIG GET masterauth", "ACL LIST"):
        assert "NOPERM" in say(fleet, master, user, command)


def test_nothing_is_written_to_disk(fleet: TestedFleet) -> None:
    """What the cache held is not found again, by anybody."""
    name = fleet.names("cache")[0]
    settings = say(fleet, name, "admin", "CONFIG GET save", "CONFIG GET appendonly")
    assert settings.split() == ["save", "appendonly", "no"]
    assert fleet.host(name).run("ls /var/lib/redis/*.rdb /var/lib/redis/appendonlydir").rc != 0


def test_passwords_are_hashes_where_they_can_be(fleet: TestedFleet) -> None:
    """Only the replica's own stands in the settings, which root and the server read."""
    host = fleet.host(fleet.names("cache")[0])
    for name in ("app", "admin", "monitor", "haproxy"):
        assert host.run(f"grep -rF -e {fleet.secrets[f'redis_{name}_password']} /etc/redis").rc == 1
    for file in ("server.conf", "server.acl"):
        found = host.file(f"/etc/redis/{file}")
        assert (found.user, found.group, found.mode) == ("root", "redis", 0o640)


def test_what_was_changed_by_hand_is_put_right_without_a_restart(fleet: TestedFleet) -> None:
    """The file, and what the running server had taken of it."""
    name = fleet.names("cache")[0]
    host = fleet.host(name)
    pid = host.check_output("systemctl show --value -p MainPID redis-server")
    host.check_output("echo 'maxmemory 1mb' >> /etc/redis/server.conf")
    say(fleet, name, "admin", "CONFIG SET maxmemory 1mb")
    played = fleet.play("site.yml", "--tags=redis")
    assert played.rc == 0, played.stdout
    assert "/etc/redis/server.conf" in played.stdout
    assert "1048576" not in say(fleet, name, "admin", "CONFIG GET maxmemory").split()
    assert pid == host.check_output("systemctl show --value -p MainPID redis-server")


@pytest.mark.shape("full")
def test_a_rerun_after_a_failover_changes_nothing(fleet: TestedFleet) -> None:
    """Whoever was chosen stays master, also while the one before it comes back."""
    before = until_one_master(fleet, 2)
    fleet.pull_plug(before)
    others = [name for name in fleet.names("cache") if name != before]
    deadline = time.monotonic() + 30
    while not any(
        "role:master" in say(fleet, name, "monitor", "INFO replication") for name in others
    ):
        assert time.monotonic() < deadline, "nobody became master"
        time.sleep(0.5)
    fleet.power_on(before)
    after = until_one_master(fleet, 2)
    assert after != before
    played = fleet.play("site.yml", "--limit=cache")
    assert (played.rc, played.changed) == (0, 0), played.stdout
    assert until_one_master(fleet, 2) == after


def _sentinel_answers(fleet: TestedFleet, name: str) -> bool:
    return ask(fleet, name, "monitor", port=SENTINEL).startswith("OK")


@pytest.mark.shape("full")
def test_sentinels_are_enough_to_choose(fleet: TestedFleet) -> None:
    """All of them see each other; and without a name none of them answers."""
    for name in fleet.names("cache"):
        until(partial(_sentinel_answers, fleet, name))
        told = say(fleet, name, "monitor", "SENTINEL CKQUORUM gtsd", port=SENTINEL)
        assert told.startswith("OK 3 usable Sentinels"), told
        refused = say(fleet, name, "monitor", "SENTINEL FAILOVER gtsd", port=SENTINEL)
        assert "NOPERM" in refused
