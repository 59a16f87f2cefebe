"""What a playbook has made of a host's disk, in a form in which two hosts can be compared."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDERS = ("etc", "usr/local", "opt")
# What is each host's own: keys and certificates, what was made of them, and what programs and
# packages write down for themselves.
_OWN = re.compile(
    r"""etc/(
        ssh/ssh_host_ | machine-id | ld\.so\.cache | \.pwd\.lock | .*-$ | mtab
      | (passwd|group|shadow|gshadow|subuid|subgid)$
      | ssl/ | ca-certificates | letsencrypt/ | resolv\.conf
      | gtsd/(pki|tls)/
      | .*/\.(started|taken|served|loaded)[^/]*$
    )
    | usr/local/share/gtsd-rehearsal/
    | .*/__pycache__/ | .*\.pyc$
    """,
    re.VERBOSE,
)


def files(root: Path) -> Iterator[Path]:
    """All files and links of the folders, but those that differ from host to host."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            inside = str(path.relative_to(root))
            if (path.is_symlink() or path.is_file()) and not _OWN.match(inside):
                yield path


def _names(root: Path, base: str) -> dict[int, str]:
    rows = (line.split(":") for line in (root / "etc" / base).read_text().splitlines())
    return {int(row[2]): row[0] for row in rows}


def state(root: Path, words: Mapping[str, str]) -> dict[str, tuple[str, str, bytes]]:
    """Path to mode, owner by name, and contents with each of the words put for what it stands for.

    Numbers of users depend on the order of installation, so names count.
    """
    users, groups = _names(root, "passwd"), _names(root, "group")
    found = {}
    for path in files(root):
        status = path.lstat()
        owner = f"{users.get(status.st_uid)}:{groups.get(status.st_gid)}"
        if path.is_symlink():
            contents = str(path.readlink()).encode()
        else:
            contents = path.read_bytes()
            for word, meaning in words.items():
                contents = contents.replace(word.encode(), meaning.encode())
        inside = str(path.relative_to(root))
        found[inside] = (f"{stat.S_IMODE(status.st_mode):04o}", owner, contents)
    return found


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The paths that one of them lacks, or that are not the same."""
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))
