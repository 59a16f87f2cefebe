"""What role base promises of every host: people, SSH, clock, journal, updates, kernel, names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fleet.machines.tested import TestedFleet

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.both_releases

# Made on the host for a moment: a key that is no secret of anybody's.
_GUEST = "/run/guest-key"


def _ssh(fleet: TestedFleet, host: str, *options: str, user: str = "nobody") -> str:
    """What sshd answers to somebody without a key, from this machine."""
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    argv = ["ssh", "-F", "none", "-v", "-o", "BatchMode=yes", "-o", "IdentityFile=none", *known]
    target = f"{user}@{fleet.address(host)}"
    done = subprocess.run(
        [*argv, *options, target, "true"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 255
    return done.stderr


@pytest.fixture(params=["root", "ops"])
def guest(fleet: TestedFleet, request: pytest.FixtureRequest) -> Iterator[str]:
    """An account that has a key more than it should."""
    user = str(request.param)
    host = fleet.host(fleet.names()[0])
    keys = "/root/.ssh/authorized_keys" if user == "root" else f"/home/{user}/.ssh/authorized_keys"
    host.check_output(f"ssh-keygen -q -t ed25519 -N '' -f {_GUEST}")
    host.check_output(f"mkdir -p -m 700 $(dirname {keys}); touch {keys}; cp -p {keys} {keys}.kept")
    host.check_output(f"cat {_GUEST}.pub >> {keys}")
    yield user
    host.check_output(f"mv {keys}.kept {keys}; rm -f {_GUEST} {_GUEST}.pub")


def test_only_keys_open_a_session(fleet: TestedFleet) -> None:
    """Passwords, keyboards and other hosts' words are not even offered."""
    for host in fleet.names():
        for user in ("root", "ops"):
            said = _ssh(fleet, host, "-o", "PreferredAuthentications=none", user=user)
            assert "Authentications that can continue: publickey\n" in said.replace("\r", "")


def test_root_has_no_way_in_even_with_a_key(fleet: TestedFleet, guest: str) -> None:
    """The same key, in root's file and in an admin's: one is refused, the other is let in."""
    host = fleet.host(fleet.names()[0])
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    # testinfra takes 255 for a fault of its own.
    done = host.run(f"ssh {options} -i {_GUEST} {guest}@127.0.0.1 id -un || exit 1")
    if guest == "root":
        assert done.rc == 1
        assert "Permission denied (publickey)" in done.stderr
    else:
        assert done.stdout.strip() == guest, done.stderr


@pytest.mark.parametrize(
    "option",
    [
        "KexAlgorithms=diffie-hellman-group1-sha1",
        "KexAlgorithms=diffie-hellman-group14-sha256",
        "KexAlgorithms=ecdh-sha2-nistp256",
        "Ciphers=aes128-cbc",
        "Ciphers=3des-cbc",
        "MACs=hmac-sha1",
        "HostKeyAlgorithms=ssh-rsa",
    ],
)
def test_old_algorithms_find_nobody_to_talk_to(fleet: TestedFleet, option: str) -> None:
    """Not only put last: a client that has nothing better is sent away."""
    # A MAC is only chosen for a cipher that has none of its own.
    options = [option, "Ciphers=aes256-ctr"] if option.startswith("MACs") else [option]
    said = _ssh(fleet, fleet.names()[0], *(part for one in options for part in ("-o", one)))
    assert "no matching" in said
    assert "Permission denied" not in said


def test_new_algorithms_are_spoken(fleet: TestedFleet) -> None:
    """Against the tests above: the same question with what is allowed gets as far as the key."""
    options = ["KexAlgorithms=curve25519-sha256", "Ciphers=aes256-gcm@openssh.com"]
    said = _ssh(fleet, fleet.names()[0], *(part for one in options for part in ("-o", one)))
    assert "Permission denied (publickey)" in said


def test_sshd_runs_with_what_was_promised(fleet: TestedFleet) -> None:
    """The whole of its configuration counts, whatever other files say."""
    promised = {
        "permitrootlogin no",
        "passwordauthentication no",
        "authenticationmethods publickey",
        "allowusers ops",
        "allowtcpforwarding no",
        "x11forwarding no",
        "permituserenvironment no",
        "maxauthtries 4",
    }
    for name in fleet.names():
        assert promised <= set(fleet.host(name).check_output("sshd -T").splitlines()), name


def test_sudo_is_for_admins_and_its_file_is_sound(fleet: TestedFleet) -> None:
    """Others have none, and nobody but root reads who has."""
    for name in fleet.names():
        host = fleet.host(name)
        host.check_output("visudo -c")
        assert host.check_output("stat -c '%a %U:%G' /etc/sudoers.d/gtsd") == "440 root:root"
        assert host.check_output("su -s /bin/sh ops -c 'sudo -n id -un'") == "root"
        assert host.run("su -s /bin/sh www-data -c 'sudo -n id -un'").rc != 0


def test_every_kernel_setting_that_may_be_set_is_set(fleet: TestedFleet) -> None:
    """Those that a container may not write are left to the machine; on a VM there are none."""
    for name in fleet.names():
        host = fleet.host(name)
        lines = host.check_output("grep ^- /etc/sysctl.d/90-gtsd.conf").splitlines()
        wanted = dict(line.removeprefix("-").split(" = ") for line in lines)
        # A test that cannot fail would be none: the network's settings belong to the host alone.
        assert len([key for key in wanted if key.startswith("net.ipv4.")]) > 10
        for key, value in wanted.items():
            path = "/proc/sys/" + key.replace(".", "/")
            if host.run(f"test -w {path} && cat {path} > {path}").rc == 0:
                assert host.check_output(f"cat {path}") == value, (name, key)


def test_the_journal_outlives_a_reboot_and_is_bounded(fleet: TestedFleet) -> None:
    """On the disk, with a greatest size and age."""
    for name in fleet.names():
        host = fleet.host(name)
        assert host.check_output("ls /var/log/journal")
        written = host.check_output("systemd-analyze cat-config systemd/journald.conf")
        for setting in ("Storage=persistent", "SystemMaxUse=1024M", "MaxRetentionSec=30day"):
            assert f"\n{setting}\n" in written


def test_security_updates_install_themselves(fleet: TestedFleet) -> None:
    """Those and no others, without a restart of the host, and not of what needs a quorum."""
    for name in fleet.names():
        host = fleet.host(name)
        said = host.check_output("apt-config dump").splitlines()
        origins = [
            line for line in said if line.startswith("Unattended-Upgrade::Origins-Pattern::")
        ]
        assert len(origins) == 1
        assert "${distro_codename}-security" in origins[0]
        assert 'APT::Periodic::Unattended-Upgrade "1";' in said
        assert 'Unattended-Upgrade::Automatic-Reboot "false";' in said
        assert 'Unattended-Upgrade::Package-Blacklist:: "^postgresql";' in said
        for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
            assert host.check_output(f"systemctl is-active {timer}") == "active"
            assert host.check_output(f"systemctl is-enabled {timer}") == "enabled"


def test_the_clock_is_kept_where_it_may_be_set(fleet: TestedFleet) -> None:
    """Enabled everywhere; it stays off only by its unit's own condition."""
    for name in fleet.names():
        host = fleet.host(name)
        assert host.check_output("systemctl is-enabled chrony") == "enabled"
        may_set = host.run("setpriv --dump | grep -q 'Capability bounding set:.*sys_time'").rc == 0
        running = host.run("systemctl is-active chrony").rc == 0
        assert running is may_set
        assert "port 0" in host.check_output("cat /etc/chrony/chrony.conf")


def test_hosts_know_each_other_by_name(fleet: TestedFleet) -> None:
    """And an app host knows its two doors, on its loopback."""
    for name in fleet.names():
        host = fleet.host(name)
        assert host.check_output("hostname") == name
        for other in fleet.names():
            for written in (other, f"{other}.gtsd.internal"):
                assert fleet.address(other) in host.check_output(f"getent ahostsv4 {written}")
        for door in ("primary", "cache"):
            done = host.run(f"getent ahostsv4 {door}.gtsd.internal")
            found = done.stdout.split()[:1]
            assert found == (["127.0.0.1"] if name in fleet.names("app") else []), (name, door)


def test_time_and_language_are_those_of_no_country(fleet: TestedFleet) -> None:
    """UTC and C.UTF-8, whatever the client that logs in would like."""
    host = fleet.host(fleet.names()[0])
    assert host.check_output("date +%Z") == "UTC"
    assert host.check_output("systemctl show-environment").find("LANG=") < 0 or (
        "LANG=C.UTF-8" in host.check_output("systemctl show-environment")
    )
    said = host.check_output("sshd -T | grep -i setenv")
    assert "LC_ALL=C.UTF-8" in said


def test_the_firewall_stands_before_the_first_door_opens(fleet: TestedFleet) -> None:
    """After a reboot, without a hand: no moment in which a service listens unguarded."""
    name = fleet.names()[0]
    fleet.power_off(name)
    fleet.power_on(name)
    host = fleet.host(name)
    said = host.check_output("systemctl show nftables ssh -p ActiveEnterTimestampMonotonic --value")
    firewall, door = (int(number) for number in said.split())
    assert 0 < firewall < door
    assert "policy drop" in host.check_output("nft list chain inet gtsd input")
    assert host.check_output("systemctl show nftables -p Before --value").count(
        "network-pre.target"
    )
    # Of the boot before this one, so that the journal was kept.
    assert len(host.check_output("journalctl --list-boots --no-pager").splitlines()) > 1


def test_what_was_switched_off_or_changed_is_put_back_and_named(fleet: TestedFleet) -> None:
    """A drifted file, a firewall that somebody flushed, a service older than its settings."""
    name = fleet.names()[0]
    host = fleet.host(name)
    for command in (
        "nft flush ruleset",
        "sed -i 's/somaxconn = .*/somaxconn = 99/' /etc/sysctl.d/90-gtsd.conf",
        "systemctl disable --now apt-daily.timer",
        "touch /etc/ssh/sshd_config.d/00-gtsd.conf",
    ):
        host.check_output(command)
    play = fleet.play("site.yml", "--tags=base", "--diff")
    assert play.rc == 0, play.stdout
    for said in (
        "nftables.service is off, not enabled, or older than its configuration",
        "ssh.service is off, not enabled, or older than its configuration",
        "apt-daily.timer is off, not enabled, or older than its configuration",
        "-net.core.somaxconn = 99",
    ):
        assert said in play.stdout
    assert "policy drop" in host.check_output("nft list chain inet gtsd input")
    assert host.check_output("cat /proc/sys/net/core/somaxconn") == "4096"
    assert host.check_output("systemctl is-enabled apt-daily.timer") == "enabled"


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("base_admins", [], "must be a list of people, at least one"),
        ("base_admins", [{"name": "ada", "keys": ["ssh-dss AAAA x"]}], "that is no public SSH key"),
        ("base_admins_removed", ["ops"], "and not in base_admins_removed"),
        ("base_ssh_networks", ["203.0.113.0/24"], "from where Ansible comes"),
        (
            "base_extra_links",
            [{"name": "x", "ports": [9000], "to": "apps", "from": ["edge"]}],
            "x leads to apps, which is no group",
        ),
    ],
)
def test_what_would_lock_somebody_out_is_refused_before_anything_changes(
    fleet: TestedFleet, variable: str, value: object, problem: str
) -> None:
    """Host, variable, problem and an example, and nothing was changed."""
    name = fleet.names()[0]
    play = fleet.play("site.yml", "--limit", name, "-e", json.dumps({variable: value}))
    said = " ".join(play.stdout.split())
    assert play.rc != 0
    assert play.changed == 0
    assert problem in said
    assert name in said
    assert variable in said
    assert "example" in said.lower() or "ssh-keygen" in said


@pytest.mark.shape("small")
def test_an_admin_comes_and_goes(fleet: TestedFleet) -> None:
    """In the list: key and sudo. Out of it: neither. Removed: no account to speak of."""
    name = fleet.names()[0]
    host = fleet.host(name)
    page = yaml.safe_load((ROOT / "inventories/rehearsal/group_vars/all/main.yml").read_text())
    host.check_output(f"rm -f {_GUEST}*; ssh-keygen -q -t ed25519 -N '' -f {_GUEST}")
    ada = {"name": "ada", "keys": [host.check_output(f"cat {_GUEST}.pub")]}
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    knock = f"ssh {options} -i {_GUEST} ada@127.0.0.1 sudo -n id -un || exit 1"

    def play(**variables: object) -> None:
        done = fleet.play("site.yml", "--tags=base", "-e", json.dumps(variables))
        assert done.rc == 0, done.stdout

    play(base_admins=[*page["base_admins"], ada])
    assert host.check_output(knock) == "root"
    play()
    assert host.run(knock).rc == 1
    play(base_admins_removed=["ada"])
    assert host.run(knock).rc == 1
    assert host.check_output("getent passwd ada").endswith("/usr/sbin/nologin")
    assert host.run("test -e /home/ada/.ssh/authorized_keys").rc != 0
    host.check_output(f"rm -f {_GUEST}*; userdel --remove ada")
