"""The bare Debian that every host begins as, made once a release, and the packages kept for it."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from tests.fleet.machines import packages
from tests.fleet.machines.commands import Refused, locked, run, say
from tests.fleet.machines.places import STORE

_INCLUDED = (
    "ca-certificates", "dbus", "iproute2", "iputils-ping", "openssh-server", "python3", "sudo",
    "systemd", "systemd-sysv",
)  # fmt: skip
# Of scripts in /etc/init.d, of the console, and of the sockets of sshd.
_WANTED_GENERATORS = {f"systemd-{name}-generator" for name in ("sysv", "getty", "ssh")}
_GOOD_FOR = 7 * 86400
_INIT = Path(__file__).with_name("init")
INIT_IN_IMAGE = "usr/lib/gtsd-rehearsal-init"
ARCHIVES = "var/cache/apt/archives"
ADMIN = "ops"
# A host is thrown away, so what dpkg writes need not survive a power cut.
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_APT = 'APT::Install-Recommends "false";\nDpkg::Options { "--force-unsafe-io"; };\n'


def _recipe() -> str:
    """Changes when the image would come out differently."""
    steps = [inspect.getsource(step) for step in (_build, _configure, _finish)]
    contents = [_INIT.read_text(), _APT, *_INCLUDED, *sorted(_WANTED_GENERATORS)]
    machine = [*packages.settings(), packages.mirrors().sources("")]
    return hashlib.sha256("\0".join(steps + contents + machine).encode()).hexdigest()[:12]


def image_for(suite: str) -> Path:
    """The image of a Debian release, made if there is none that is fresh."""
    folder = STORE / suite
    recipe = _recipe()
    with locked(folder / "lock"):
        images = sorted(folder.glob(f"image-{recipe}-*"))
        image = images[-1] if images and _is_fresh(images[-1]) else None
        if image is None:
            started = time.monotonic()
            say(f"making the image of Debian {suite} (once a week, about a minute)")
            image = _build(suite, folder / f"image-{recipe}-{int(time.time())}")
            thin_out(_kept(suite))
            say(f"the image was made in {time.monotonic() - started:.0f} s")
        _forget_others(folder, image)
        return image


def _is_fresh(image: Path) -> bool:
    return time.time() - int(image.name.rpartition("-")[2]) < _GOOD_FOR


def _forget_others(folder: Path, kept: Path) -> None:
    """Remove images that are old or were never finished, unless a host stands on one."""
    mounts = Path("/proc/self/mounts").read_text()
    for image in [*folder.glob("image-*"), *folder.glob("unfinished-*")]:
        if image != kept and f"lowerdir={image}," not in mounts:
            shutil.rmtree(image)


def _build(suite: str, image: Path) -> Path:
    making = image.with_name(f"unfinished-{image.name}")
    mirrors = packages.mirrors()
    base = STORE / suite / "base"
    base.mkdir(parents=True, exist_ok=True)
    run("debootstrap", "--variant=minbase", f"--include={','.join(_INCLUDED)}",
        f"--cache-dir={base}", suite, making, mirrors.main)  # fmt: skip
    _configure(suite, making, mirrors)
    (making / INIT_IN_IMAGE).write_bytes(_INIT.read_bytes())
    (making / INIT_IN_IMAGE).chmod(0o755)
    _finish(making)
    # Whole or not at all: a build that is ended half way is never taken for an image.
    return making.rename(image)


def _configure(suite: str, root: Path, mirrors: packages.Mirrors) -> None:
    """Archives, names and trust are this machine's."""
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    (root / "etc/apt/sources.list.d/debian.sources").write_text(mirrors.sources(suite))
    settings = "".join(f"{line}\n" for line in packages.settings())
    (root / "etc/apt/apt.conf.d/90rehearsal").write_text(_APT + settings)
    shutil.copyfile(packages.resolver_file(), root / "etc/resolv.conf")
    authorities = packages.extra_authorities(root)
    own = root / "usr/local/share/ca-certificates/machine"
    own.mkdir()
    for number, pem in enumerate(authorities.split("-----END CERTIFICATE-----\n")[:-1]):
        (own / f"{number}.crt").write_text(f"{pem}-----END CERTIFICATE-----\n")
    # What looks for disks and words to the kernel, of which a host here has none, at each reload.
    masks = root / "etc/systemd/system-generators"
    masks.mkdir(exist_ok=True)
    for generator in (root / "usr/lib/systemd/system-generators").iterdir():
        if generator.name not in _WANTED_GENERATORS:
            (masks / generator.name).symlink_to("/dev/null")
    sudo = root / f"etc/sudoers.d/{ADMIN}"
    sudo.write_text(f"{ADMIN} ALL=(ALL) NOPASSWD: ALL\n")
    sudo.chmod(0o440)


def _finish(root: Path) -> None:
    """What only the system inside can do to itself."""

    def inside(*command: str) -> None:
        own = ("unshare", "--mount", "--pid", "--fork", f"--root={root}", "--mount-proc")
        run(*own, *command, env={"DEBIAN_FRONTEND": "noninteractive", "PATH": _PATH})

    inside("update-ca-certificates")
    inside("useradd", "--create-home", "--shell", "/bin/bash", ADMIN)
    inside("apt-get", "-q", "update")
    inside("apt-get", "-q", "-y", "upgrade")
    inside("apt-get", "clean")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")


def _kept(suite: str) -> Path:
    folder = STORE / suite / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lend_packages(suite: str, upper: Path) -> None:
    """Put the kept packages where a new host's apt looks first."""
    folder = upper / ARCHIVES
    folder.mkdir(parents=True)
    for package in _kept(suite).glob("*.deb"):
        os.link(package, folder / package.name)


def keep_packages(suite: str, upper: Path) -> int:
    """Keep what a host has downloaded, so that the next one need not; how many were new."""
    new = 0
    folder = upper / ARCHIVES
    for package in folder.glob("*.deb") if folder.is_dir() else ():
        # A host's apt may clean up at any time; a package that is here already is as good.
        with suppress(FileExistsError, FileNotFoundError):
            os.link(package, _kept(suite) / package.name)
            new += 1
    return new


def thin_out(folder: Path) -> None:
    """Keep the two newest versions of each package; others are not asked for any more."""
    versions: dict[tuple[str, str], list[Path]] = {}
    for path in folder.glob("*_*_*.deb"):
        name, _, architecture = path.name.split("_")
        versions.setdefault((name, architecture), []).append(path)
    for paths in versions.values():
        # The time of a downloaded file is the time when its archive got it.
        for path in sorted(paths, key=lambda path: path.stat().st_mtime)[:-2]:
            path.unlink()


def check_suite_known(suite: str) -> None:
    """Whether this machine's debootstrap can make it."""
    if not Path(f"/usr/share/debootstrap/scripts/{suite}").exists():
        raise Refused(
            f"This machine's debootstrap does not know Debian {suite}; install a newer one."
        )
