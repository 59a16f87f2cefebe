"""Nothing in the project depends on, or tells of, the machine that it was written on."""

from __future__ import annotations

import re
from pathlib import Path

# Built from parts, so that this file does not hold what it forbids.
_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("ftp", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("proxy", "golang", "org"),
    )
]
# Ada and Ann are the people of our examples.
_PATHS = [
    r"/home/(?!ada/|ann/)\w+/",
    r"/Users/\w+/",
    r"(?<![\w.])/(root|work)/\w",
    r"file:///\w",
]
FORBIDDEN = re.compile("|".join([*map(re.escape, _HOSTS), *_PATHS]))


def mentions(text: str) -> list[str]:
    """The lines that name a package index, a path of somebody's machine or a way of working."""
    return [
        f"line {number}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), 1)
        if FORBIDDEN.search(line)
    ]


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def test_no_file_names_an_index_or_a_machine(root: Path, files: list[Path]) -> None:
    """Which index serves the packages is the business of the machine that installs them."""
    this = Path(__file__).resolve()
    found = [
        f"{path.relative_to(root)}: {line}"
        for path in files
        if path.resolve() != this
        for line in mentions(_text(path))
    ]
    assert not found, "\n".join(found)


def test_forbidden_mentions_are_found() -> None:
    """Each kind of mention is seen, and what merely looks like one is not."""
    for word in [*_HOSTS, "cd /home/eve/x", "see /root/x", "in /" + "work/x", "file:///o"]:
        assert mentions(f"first\nsee {word}\n") == [f"line 2: see {word}"]
    assert mentions("docs at python.org\n./work/x\n/homepage /home/ada/x\ntemplate/root/etc") == []
