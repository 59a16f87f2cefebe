#!/usr/bin/python
"""Keeps a folder of secrets, one file each, for root alone."""

# Imports stand where Ansible wants them: below what documents the module.
# ruff: noqa: E402

DOCUMENTATION = """
module: gtsd_credentials
short_description: Keep a folder of secrets, one file each, for root alone
description:
  - One pass over all of them. Names are told, contents never, neither in the result nor as a diff.
options:
  folder:
    description: Made with mode 0700 where it is missing.
    type: path
    required: true
  files:
    description: Content of each file by its name; an empty one is for what is not given.
    type: dict
    required: true
  purge:
    description: Whether files with other names are removed.
    type: bool
    default: true
"""
EXAMPLES = """
- name: Keep the service's secrets
  gtsd_credentials:
    folder: /etc/gtsd/credentials
    files: {jwt_secret: "{{ gtsd_jwt_secret }}"}
  no_log: true
"""
RETURN = """
written: {description: Names of files that are new or changed., type: list, returned: always}
removed: {description: Names of files that were removed., type: list, returned: always}
"""

import os
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


def is_right(path: Path, mode: int) -> bool:
    """Whether it is root's own, with that mode, and no link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    regular = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
    return regular and stat.S_IMODE(found.st_mode) == mode and found.st_uid == os.geteuid()


def holds(path: Path, content: bytes) -> bool:
    """Whether the file is as it should be already."""
    return is_right(path, _FILE_MODE) and path.read_bytes() == content


def write(path: Path, content: bytes) -> None:
    """All of it at once: whoever reads meanwhile has the old or the new."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)


def main() -> None:
    """Compare, and unless Ansible only checks, put right."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True, "no_log": True},
            "purge": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    folder = Path(module.params["folder"])
    files = {name: str(text).encode() for name, text in module.params["files"].items()}
    present = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    written = sorted(name for name, text in files.items() if not holds(folder / name, text))
    removed = sorted(present - set(files)) if module.params["purge"] else []
    repaired = not is_right(folder, _FOLDER_MODE)
    if not module.check_mode:
        if repaired:
            folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            folder.chmod(_FOLDER_MODE)
            os.chown(folder, os.geteuid(), os.getegid())
        for name in removed:
            (folder / name).unlink()
        for name in written:
            write(folder / name, files[name])
    changed = bool(written or removed or repaired)
    module.exit_json(changed=changed, written=written, removed=removed)


if __name__ == "__main__":
    main()
