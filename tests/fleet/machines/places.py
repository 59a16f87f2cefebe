"""Where a rehearsal keeps what: state under /run, disks and images under /var/lib."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STATE = Path("/run/gtsd-rehearsal")
# Not in /run, which is memory on most machines: hosts write gigabytes.
STORE = Path("/var/lib/gtsd-rehearsal")
CGROUP = "gtsd-rehearsal"
PROJECT = Path(__file__).parents[3]
ANSIBLE = PROJECT / ".venvs" / "ansible" / "bin"


@dataclass(frozen=True)
class Places:
    """The folders and files of one fleet."""

    name: str

    @property
    def state(self) -> Path:
        return STATE / self.name

    @property
    def disks(self) -> Path:
        return STORE / "fleets" / self.name

    @property
    def plan(self) -> Path:
        """Written last of all at the start, so a fleet without it is half made."""
        return self.state / "plan.json"

    @property
    def inventory(self) -> Path:
        return self.state / "inventory.json"

    @property
    def key(self) -> Path:
        return self.state / "key"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets.json"

    @property
    def release_key(self) -> Path:
        """What signs the releases that the hosts of this fleet take."""
        return self.state / "release-key"

    @property
    def customer(self) -> Path:
        """How the certificate authority knows us, where it wants to."""
        return self.state / "customer.json"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.state / "ssh_config"

    @property
    def sockets(self) -> Path:
        """Ansible's and the tests' kept connections; the paths of sockets must be short."""
        return self.state / "cp"

    @property
    def public_ca(self) -> Path:
        """What `curl --cacert` needs: the root of the rehearsal's public certificates."""
        return self.state / "public-ca.pem"


def running() -> list[str]:
    """The names of the fleets on this machine."""
    return sorted(path.parent.name for path in STATE.glob("*/plan.json"))
