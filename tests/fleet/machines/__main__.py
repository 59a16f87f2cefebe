"""The machines of a rehearsal, by hand: `python -m tests.fleet.machines --help`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.fleet.machines import cgroups, fleet, network, prerequisites, rehearsal
from tests.fleet.machines.commands import Refused, say
from tests.fleet.machines.places import Places, running
from tests.fleet.machines.shapes import SHAPES, SUITES, check_name, namespace_name

_POWER = ("start", "stop", "kill", "reboot")
_CABLE = ("cut", "heal")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="machines", description=__doc__)
    parser.add_argument("--name", default="rehearsal", help="of the fleet")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, meaning in (
        ("up", "start the hosts, bare"),
        ("rehearse", "start the hosts, run site.yml, and ask for an answer over HTTPS"),
    ):
        made = commands.add_parser(command, help=meaning)
        made.add_argument("--shape", choices=SHAPES, default="small")
        made.add_argument("--image", choices=SUITES, default="bookworm")
    commands.add_parser("down", help="leave nothing behind")
    commands.add_parser("status", help="which hosts are on, and their memory")
    for command, meaning in (
        ("start", "power on"),
        ("stop", "power off, cleanly"),
        ("kill", "pull the plug"),
        ("reboot", "off and on"),
        ("cut", "take the network cable out"),
        ("heal", "put it back"),
    ):
        commands.add_parser(command, help=meaning).add_argument("hosts", nargs="+")
    for command, meaning in (("ssh", "as ops, by SSH"), ("exec", "from outside, in its network")):
        inside = commands.add_parser(command, help=meaning)
        inside.add_argument("host")
        inside.add_argument("words", nargs=argparse.REMAINDER)
    return parser


def _up(options: argparse.Namespace) -> None:
    shape = SHAPES[options.shape]
    prerequisites.check(shape, options.image)
    started = time.monotonic()
    made = fleet.up(options.name, shape, options.image)
    say(f"{len(made.hosts)} hosts are up after {time.monotonic() - started:.1f} s")


def _power(command: str, found: fleet.Fleet, names: list[str]) -> None:
    for name in names:
        host = found.hosts[name]
        if command == "kill":
            host.pull_plug()
        if command in ("stop", "reboot"):
            host.power_off()
        if command in ("start", "reboot"):
            host.power_on()
            host.wait_until_reachable()


def _status(found: fleet.Fleet) -> None:
    say(f"{found.plan.name}: {found.plan.shape.name} on {found.plan.suite}, {found.plan.network}")
    for name, host in found.hosts.items():
        used = cgroups.memory_mb(found.plan.name, name)
        say(f"{name:8} {host.address:14} {'on' if host.is_on() else 'off':4} {used or 0:5} MB")


def _on_a_fleet(options: argparse.Namespace) -> None:
    found = fleet.find(options.name)
    names = getattr(options, "hosts", [])
    unknown = set(names or [getattr(options, "host", found.plan.shape.hosts[0])]) - set(found.hosts)
    if unknown:
        raise Refused(f"{options.name} has no host {', '.join(unknown)}.")
    if options.command in _POWER:
        _power(options.command, found, names)
    elif options.command in _CABLE:
        for name in names:
            network.set_cable(found.plan, name, connected=options.command == "heal")
    elif options.command == "ssh":
        words = ["ssh", "-F", str(Places(options.name).ssh_config), options.host, *options.words]
        os.execvp("ssh", words)  # noqa: S606 - no shell is what is wanted
    elif options.command == "exec":
        namespace = namespace_name(options.name, options.host)
        os.execvp("ip", ["ip", "netns", "exec", namespace, *options.words])  # noqa: S606 - as above
    else:
        _status(found)


def main() -> int:
    """Do what the command line says; what is wrong is told in sentences."""
    options = _parser().parse_args()
    try:
        check_name(options.name)
        if options.command not in {"up", "rehearse"} or options.name in running():
            prerequisites.check_root()
        if options.command == "up":
            _up(options)
        elif options.command == "rehearse":
            rehearsal.rehearse(options.name, SHAPES[options.shape], options.image)
        elif options.command == "down":
            fleet.down(options.name)
        else:
            _on_a_fleet(options)
    except (Refused, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; `status` tells what is up, `down` takes it away.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
