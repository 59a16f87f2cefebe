"""One host: a disk over the image, a network namespace, and systemd as its first process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.fleet.machines import cgroups, image, network
from tests.fleet.machines.commands import Refused, run, wait
from tests.fleet.machines.places import Places
from tests.fleet.machines.shapes import PUBLIC_NAME, STORE_NAME, Plan, namespace_name

ACME_CA = "usr/local/share/gtsd-rehearsal/acme-ca.pem"
_CAPABILITIES = (
    "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_AUDIT_WRITE",
    # For units that filter addresses (IPAddressDeny).
    "CAP_BPF", "CAP_PERFMON",
)  # fmt: skip
# Notes who it is, enters the groups given before "--" and runs the rest for as long as that asks to
# be started again, which a host does by leaving with 133. Its firewall does not survive that, as on
# a real one.
_SUPERVISOR = """
note=$1; namespace=$2; shift 2
cat "/proc/$$/stat" >"$note"
while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift
while :; do
    ip netns exec "$namespace" nft flush ruleset
    "$@"; [ $? = 133 ] || exit
done
"""
_POWER_OFF = signal.SIGRTMIN + 4


class Host:
    """A host by its name; what is known of it is on the disk, so any process can handle it."""

    def __init__(self, plan: Plan, name: str) -> None:
        self.plan = plan
        self.name = name
        self.address = plan.address(name)
        places = Places(plan.name)
        self.disk = places.disks / name
        self.root = self.disk / "root"
        self._sockets = places.sockets

    # ---- disk

    def make_disk(self, base: Path, admin_key: str, acme_ca: str) -> str:
        """An empty layer over the image, with what makes this host itself; its public host key."""
        upper = self.disk / "upper"
        image.lend_packages(self.plan.suite, upper)
        (self.disk / "work").mkdir()
        self.root.mkdir()
        # Nothing on it must survive this machine, so nothing waits for its disk.
        options = f"lowerdir={base},upperdir={upper},workdir={self.disk}/work,volatile"
        run(
            "mount", "-t", "overlay", f"gtsd-{self.plan.name}-{self.name}", "-o", options, self.root
        )
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        public = "".join(f"{address} {PUBLIC_NAME}\n" for address in self.plan.edges())
        own = f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n"
        store = f"{self.plan.gateway} {STORE_NAME}\n"
        (self.root / "etc/hosts").write_text(own + public + store)
        (self.root / ACME_CA).parent.mkdir(parents=True)
        (self.root / ACME_CA).write_text(acme_ca)
        self._admit(admin_key)
        key = self.root / "etc/ssh/ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key)
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])

    def destroy(self) -> None:
        """The machine and all that was on its disk are gone."""
        self.pull_plug()
        run("umount", "-l", self.root)
        shutil.rmtree(self.disk)

    def _admit(self, admin_key: str) -> None:
        home = self.root / "home" / image.ADMIN
        owner = home.stat()
        keys = home / ".ssh" / "authorized_keys"
        keys.parent.mkdir(mode=0o700)
        keys.write_text(f"{admin_key}\n")
        keys.chmod(0o600)
        for path in (keys, keys.parent):
            os.chown(path, owner.st_uid, owner.st_gid)

    # ---- power

    def power_on(self) -> None:
        """Start it; no more than that: `wait_until_reachable` tells when it is up."""
        if self.is_on():
            return
        network.connect(self.plan, self.name)
        groups = cgroups.make(self.plan.name, self.name)
        namespace = namespace_name(self.plan.name, self.name)
        note = str(self.disk / "supervisor")
        enter = [str(group / "cgroup.procs") for group in groups]
        command = ["/bin/sh", "-c", _SUPERVISOR, "gtsd-rehearsal", note, namespace, *enter]
        with (self.disk / "console.log").open("ab") as log:
            # Nobody's child: it stays when the one who started it leaves.
            subprocess.run(
                ["setsid", "--fork", *command, "--", *self._nspawn(namespace)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._environment()},
                check=True,
            )
        if not wait(self.is_on, 10):
            raise Refused(f"{self.name} does not start; see {self.disk}/console.log.")

    def _nspawn(self, namespace: str) -> list[str]:
        return [
            "systemd-nspawn", "--quiet", f"--directory={self.root}",
            f"--machine={self.plan.name}-{self.name}", f"--hostname={self.name}",
            "--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off",
            "--timezone=off", f"--network-namespace-path=/run/netns/{namespace}",
            f"--capability={','.join(_CAPABILITIES)}", "--system-call-filter=bpf perf_event_open",
            "--kill-signal=SIGRTMIN+3", f"/{image.INIT_IN_IMAGE}", *self._init_arguments(),
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}

    def _init_arguments(self) -> list[str]:
        # On a machine with version 1 of control groups, only they limit memory and processors, and
        # Debian 13 has to be told to go on using them.
        forced = self.plan.suite == "trixie" and not cgroups.is_pure()
        return ["SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"] if forced else []

    def _supervisor(self) -> int | None:
        try:
            noted = (self.disk / "supervisor").read_text()
        except OSError:
            return None
        pid = noted.split(maxsplit=1)[0] if noted else "0"
        # Another process may have got the number since.
        return int(pid) if noted and _birth(_stat(int(pid))) == _birth(noted) else None

    def _first_process(self) -> int | None:
        """The host's PID 1, as this machine sees it."""
        return _last_child(_last_child(self._supervisor()))

    def is_on(self) -> bool:
        return self._supervisor() is not None

    def wait_until_reachable(self, within: float = 60) -> None:
        """SSH answers, and lets people in: until the boot is done, it sends them away."""
        if not wait(self._is_reachable, within):
            log = (self.disk / "console.log").read_text(errors="replace")[-1500:]
            raise Refused(f"{self.name} is not reachable after {within:.0f} s:\n{log}")

    def _is_reachable(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), 1) as connection:
                connection.settimeout(2)
                greeted = connection.recv(4) == b"SSH-"
        except OSError:
            return False
        return greeted and self._is_booted()

    def _is_booted(self) -> bool:
        first = self._first_process()
        # Its /run is a file system of its own, seen through the host's first process.
        sent_away = Path("/proc", str(first), "root", "run", "nologin")
        return first is not None and not sent_away.exists()

    def power_off(self, within: float = 60) -> None:
        """As `poweroff` does; the plug is pulled after a time."""
        first = self._first_process()
        if first is not None:
            with suppress(ProcessLookupError):
                os.kill(first, _POWER_OFF)
            wait(lambda: not self.is_on(), within)
        self.pull_plug()

    def pull_plug(self) -> None:
        """Nothing in the host gets to do anything more."""
        cgroups.end(self.plan.name, self.name)

    def reboot(self) -> None:
        """Off and on again, cleanly."""
        self.power_off()
        self.power_on()
        self.wait_until_reachable()


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""


def _birth(stat: str) -> str | None:
    """When a process began, which tells it from a later one of the same number."""
    fields = stat.rpartition(")")[2].split()
    return None if not fields or fields[0] == "Z" else fields[19]


def _last_child(pid: int | None) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[-1]) if children else None
