#!/usr/bin/python3
"""Give what has come into the archive to who owns it: gtsd-backup-seal FOLDER OWNER WRITER.

The writer may add to the archive and owns what it has just added. After this a file is the
owner's, and a folder is the owner's, writable for the group and sticky: the writer can neither
change, rename nor remove what lies there. Links are followed nowhere, since the writer could have
put them there.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys

# What is still being written: it is given its name when it is complete.
_UNFINISHED = ".pgbackrest.tmp"
# What PostgreSQL may send once more, after a failover or a crash, and pgBackRest then writes anew:
# were that refused, all WAL would wait behind it. No restore reads the one, and the database hosts
# have the other, too.
_SENT_AGAIN = (".backup", ".history")
_FOLDER = 0o1770
_FILE = 0o640


class Seal:
    """Who owns the archive, who adds to it, and what is not as it should be."""

    def __init__(self, owner: str, writer: str) -> None:
        self.owner = pwd.getpwnam(owner).pw_uid
        self.writer = pwd.getpwnam(writer).pw_uid
        self.group = pwd.getpwnam(writer).pw_gid
        self.strange: list[str] = []

    def folder(self, descriptor: int, path: str) -> None:
        """The folder first, so that nothing in it is exchanged while we look."""
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (
            self.owner,
            self.group,
            _FOLDER,
        ):
            os.fchown(descriptor, self.owner, self.group)
            os.fchmod(descriptor, _FOLDER)
        with os.scandir(descriptor) as entries:
            for entry in entries:
                self._entry(descriptor, entry, f"{path}/{entry.name}")

    def _entry(self, above: int, entry: os.DirEntry[str], path: str) -> None:
        try:
            if entry.is_dir(follow_symlinks=False):
                self._within(above, entry.name, path)
            elif not entry.name.endswith(_UNFINISHED):
                self._file(above, entry, path)
        except FileNotFoundError:
            # Expired, or given its name, since we read the folder.
            return

    def _within(self, above: int, name: str, path: str) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        descriptor = os.open(name, flags, dir_fd=above)
        try:
            self.folder(descriptor, path)
        finally:
            os.close(descriptor)

    def _file(self, above: int, entry: os.DirEntry[str], path: str) -> None:
        wanted = self.writer if entry.name.endswith(_SENT_AGAIN) else self.owner
        if entry.stat(follow_symlinks=False).st_uid == wanted:
            return
        if not entry.is_file(follow_symlinks=False):
            self.strange.append(path)
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(entry.name, flags, dir_fd=above)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                self.strange.append(path)
            elif found.st_uid in (self.writer, self.owner):
                os.fchown(descriptor, wanted, self.group)
                os.fchmod(descriptor, _FILE)
        finally:
            os.close(descriptor)


def main(folder: str, owner: str, writer: str) -> int:
    """The exit status: 1 where something lies in the archive that pgBackRest does not put there."""
    seal = Seal(owner, writer)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        seal.folder(descriptor, folder)
    finally:
        os.close(descriptor)
    for path in seal.strange:
        sys.stderr.write(f"Not sealed, for it is no plain file: {path}\n")
    return 1 if seal.strange else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
