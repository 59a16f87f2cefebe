"""The API on its hosts: what its sandbox refuses, who may read its secrets, how it comes back."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

UNIT = "gtsd-api@1.service"
SCORE = 15  # tenths: 1.5
# Not an instance that anybody runs: its number is only used for programs put into its sandbox.
_SPARE = "gtsd-api@64.service"
_DROP_IN = f"/run/systemd/system/{_SPARE}.d/try.conf"

_RUN = (
    "import os, shutil, subprocess; shutil.copy('/bin/true', '{0}/gtsd-try');"
    " os.chmod('{0}/gtsd-try', 0o700); subprocess.run(['{0}/gtsd-try'], check=True);"
    " os.unlink('{0}/gtsd-try')"
)
# Each act tells "did it" or raises; outside the sandbox each one works.
ACTS = {
    "write below /etc": "open('/etc/gtsd-try', 'w').close()",
    "write into the release": "open('/opt/gtsd/current/gtsd-try', 'w').close()",
    "read a credential on the disk": "open('/etc/gtsd/credentials/jwt_secret').read()",
    "read another unit's credential": (
        "open('/run/credentials/gtsd-api@1.service/jwt_secret').read()"
    ),
    "trace a process": (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True);"
        " assert libc.ptrace(0, 0, 0, 0) == 0, ctypes.get_errno()"  # PTRACE_TRACEME
    ),
    "open a raw socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "open a netlink socket": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "see other processes": "assert open('/proc/1/status').read()",
    "run what it wrote": _RUN.format("/tmp"),  # noqa: S108 not ours
    "run what it wrote for longer": _RUN.format("/var/tmp"),  # noqa: S108 not ours
    "run what it wrote to memory": _RUN.format("/dev/shm"),  # noqa: S108 not ours
    "make memory that is code": (
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    ),
    "enter another namespace": (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True);"
        " assert libc.unshare(0x04000000) == 0, ctypes.get_errno()"  # CLONE_NEWUTS
    ),
}


def python(act: str) -> str:
    """A command that does it and says so."""
    return f"/usr/bin/python3 -c {shlex.quote(act + chr(10) + 'print(chr(100) + str(1))')}"


@pytest.fixture(scope="module")
def app(fleet: Any) -> Any:
    """The first app host."""
    return fleet.host(fleet.names("app")[0])


@pytest.fixture(scope="module")
def sandbox(app: Any) -> Iterator[Any]:
    """Runs a program in place of the service, in everything else as its unit says."""

    def run(act: str) -> Any:
        program = act.replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
        app.check_output(
            f"mkdir -p $(dirname {_DROP_IN}) && printf %s {shlex.quote(_drop_in(program))}"
            f" > {_DROP_IN} && systemctl daemon-reload"
        )
        return app.run(f"systemctl start {_SPARE}")

    yield run
    app.run(
        f"rm -rf $(dirname {_DROP_IN}) /etc/gtsd-try /opt/gtsd/current/gtsd-try /tmp/gtsd-try;"
        f" systemctl daemon-reload; systemctl reset-failed {_SPARE};"
        f" systemctl stop {_SPARE.replace('.service', '.socket')}"
    )


def _drop_in(program: str) -> str:
    return (
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\n"
        f'ExecStart=/usr/bin/python3 -c "{program}"\n'
    )


def instances(app: Any) -> list[int]:
    """The numbers of those that run."""
    listed = app.check_output(
        "systemctl list-units --plain --no-legend --state=active 'gtsd-api@*.service'"
    )
    return sorted(int(line.split("@")[1].split(".")[0]) for line in listed.splitlines())


def ready(app: Any, instance: int) -> bool:
    """Whether it answers that requests may be sent to it."""
    act = (
        "import urllib.request as u;"
        f" assert u.urlopen('http://127.0.0.1:300{instance}/ready', timeout=5).status == 200"
    )
    return bool(app.run(python(act)).rc == 0)


def until_ready(app: Any, instance: int, seconds: float = 60.0) -> None:
    """Wait for it; fails when it takes longer."""
    deadline = time.monotonic() + seconds
    while not ready(app, instance):
        assert time.monotonic() < deadline, f"instance {instance} is not ready in {seconds} s"
        time.sleep(0.5)


def main_pid(app: Any) -> int:
    """The process of the first instance."""
    return int(app.check_output(f"systemctl show --value --property=MainPID {UNIT}"))


def test_the_sandbox_is_as_tight_as_promised(app: Any) -> None:
    """systemd's own measure: at most 1.5 of 10, for the API and for the migrations."""
    app.check_output(f"systemd-analyze security --no-pager --threshold={SCORE} {UNIT}")
    migrate = "gtsd-migrate@1.0.0.service"
    app.check_output(f"systemd-analyze security --no-pager --threshold={SCORE} {migrate}")
    assert app.run(f"systemd-analyze security --no-pager --threshold=1 {UNIT}").rc != 0


def test_a_harmless_program_runs_in_the_sandbox(sandbox: Any) -> None:
    """So that a refusal below is a refusal of the act, and not of the program."""
    done = sandbox("import ssl, socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)")
    assert done.rc == 0, done.stderr


@pytest.mark.parametrize("name", ACTS)
def test_the_sandbox_refuses(app: Any, sandbox: Any, name: str) -> None:
    """What a hijacked service would try first; the same act works outside of the sandbox."""
    outside = app.run(python(ACTS[name]))
    assert outside.rc == 0, f"the control failed: {outside.stderr}"
    assert sandbox(ACTS[name]).rc != 0
    journal = app.check_output(f"journalctl --no-pager --output=cat --lines=15 --unit={_SPARE}")
    assert any(word in journal for word in ("Error", "not permitted", "denied")), journal


def test_secrets_are_for_root_alone(app: Any) -> None:
    """On the disk; the service has copies in memory that only its unit sees."""
    folder = app.file("/etc/gtsd/credentials")
    assert (folder.user, folder.group, folder.mode) == ("root", "root", 0o700)
    names = app.check_output("ls /etc/gtsd/credentials").split()
    assert {"database_url", "jwt_secret", "redis_url"} <= set(names)
    for name in names:
        secret = app.file(f"/etc/gtsd/credentials/{name}")
        assert (secret.user, secret.mode) == ("root", 0o600), name
    reading = "cat /etc/gtsd/credentials/jwt_secret"
    assert app.run(f"runuser -u nobody -- {reading}").rc != 0
    assert app.run(reading).rc == 0


def test_only_one_host_has_the_owners_address(fleet: Any) -> None:
    """The one that runs the migrations."""
    path = "/etc/gtsd/credentials/owner_database_url"
    have = [name for name in fleet.names("app") if fleet.host(name).file(path).exists]
    assert len(have) == 1


def test_no_secret_is_in_units_settings_or_processes(app: Any) -> None:
    """Where everybody on the host may look. The search finds them where they are."""
    search = "grep -qFf /etc/gtsd/credentials/jwt_secret"
    shown = "systemctl show 'gtsd-api@*'; cat /etc/gtsd/gtsd.env; ps axww"
    assert app.run(f"({shown}; cat /proc/{main_pid(app)}/environ) | {search}").rc == 1
    assert app.run(f"cat /etc/gtsd/credentials/jwt_secret | {search}").rc == 0


def test_an_instance_that_is_killed_comes_back(app: Any) -> None:
    """Also when it had no time to do anything about it."""
    before = main_pid(app)
    app.check_output(f"kill -9 {before}")
    until_ready(app, 1)
    assert main_pid(app) not in (0, before)


def test_an_instance_that_hangs_is_replaced(app: Any) -> None:
    """The watchdog sees a process that is there and does nothing."""
    before = main_pid(app)
    app.check_output(f"kill -STOP {before}")
    assert not ready(app, 1)
    until_ready(app, 1, 90)
    assert main_pid(app) not in (0, before)


def test_a_restart_refuses_nobody(app: Any) -> None:
    """One client after another, each on a connection of its own, all through the restart."""
    client = (
        "import sys, time, urllib.request as u\n"
        "end = time.monotonic() + 20\n"
        "done = failed = 0\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        done += u.urlopen('http://127.0.0.1:3001/healthz', timeout=15).status == 200\n"
        "    except OSError:\n"
        "        failed += 1\n"
        "print(done, failed)\n"
    )
    loop = f"/usr/bin/python3 -c {shlex.quote(client)}"
    counted = app.check_output(
        f"({loop}) > /tmp/gtsd-counted & sleep 1; systemctl restart {UNIT}; wait;"
        " cat /tmp/gtsd-counted; rm /tmp/gtsd-counted"
    )
    done, failed = map(int, counted.split())
    assert done > 100
    assert failed == 0
    # The control: with its port closed for a moment, the same client is refused.
    counted = app.check_output(
        f"({loop}) > /tmp/gtsd-counted & sleep 1; systemctl stop gtsd-api@1.socket {UNIT};"
        f" sleep 2; systemctl start gtsd-api@1.socket {UNIT}; wait;"
        " cat /tmp/gtsd-counted; rm /tmp/gtsd-counted"
    )
    assert int(counted.split()[1]) > 0
    until_ready(app, 1)


def test_a_changed_setting_restarts_each_instance_behind_a_stand_in(fleet: Any, app: Any) -> None:
    """By a run of the playbook; and once more when it is changed back."""
    began = app.check_output("date +%s")
    changed = fleet.play("site.yml", "--tags=gtsd", "--extra-vars=gtsd_log_level=debug")
    assert changed.rc == 0, changed.stdout
    for number in instances(app):
        api, stand_in = f"gtsd-api@{number}.service", f"gtsd-standin@{number}.service"
        said = app.check_output(
            f"journalctl --since @{began} -u {api} -u {stand_in} -o cat --no-pager"
        ).splitlines()
        told = [line for line in said if line.startswith(("Started ", "Stopping "))]
        steps = [" ".join(line.split()[:2]) for line in told]
        assert steps == [
            f"Started {stand_in}", f"Stopping {api}", f"Started {api}", f"Stopping {stand_in}",
        ]  # fmt: skip
    pid = main_pid(app)
    assert fleet.play("site.yml", "--tags=gtsd").rc == 0
    assert main_pid(app) != pid


def test_settings_that_cannot_work_change_nothing(fleet: Any, app: Any) -> None:
    """The program refuses them on the host before they are written, and says why."""
    before = app.check_output("sha256sum /etc/gtsd/gtsd.env"), main_pid(app)
    refused = fleet.play("site.yml", "--tags=gtsd", "--extra-vars=gtsd_drain_timeout=1")
    assert refused.rc != 0
    assert "GTSD_DRAIN_TIMEOUT" in refused.stdout
    assert (app.check_output("sha256sum /etc/gtsd/gtsd.env"), main_pid(app)) == before


def test_what_a_killed_play_left_undone_is_made_up_for(fleet: Any, app: Any) -> None:
    """It died between writing a secret and the restart, and in the middle of unpacking.

    Nothing but the process itself tells of the first; of the second it is the missing mark.
    """
    secret = "/etc/gtsd/credentials/jwt_secret"
    app.check_output(
        f"cp -p {secret} {secret}.right && printf older >> {secret} && systemctl restart {UNIT}"
        f" && mv {secret}.right {secret} && rm /opt/gtsd/current/.complete"
    )
    pid = main_pid(app)
    made_up = fleet.play("site.yml", "--tags=gtsd")
    assert made_up.rc == 0, made_up.stdout
    assert main_pid(app) != pid
    assert app.file("/opt/gtsd/current/.complete").exists
    for number in instances(app):
        until_ready(app, number)


def test_the_operators_command_works_as_the_units_do(app: Any) -> None:
    """With settings and credentials of this host; it needs root."""
    assert "JWT_SECRET=***" in app.check_output("gtsd check")
    assert "connected" in app.check_output("gtsd check --connect")
    assert app.run("runuser -u nobody -- /usr/local/bin/gtsd check").rc == 77


def test_all_instances_come_back_after_a_reboot(fleet: Any, app: Any) -> None:
    """Without a hand."""
    name = fleet.names("app")[0]
    numbers = instances(app)
    fleet.power_off(name)
    fleet.power_on(name)
    for number in numbers:
        until_ready(app, number, 120)
    assert instances(app) == numbers
