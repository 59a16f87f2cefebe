"""What role base reads out of what a host prints."""

from __future__ import annotations

from roles.base.library import base_look as look


def test_what_is_half_installed_or_only_known_is_not_there() -> None:
    """A package that was removed leaves its settings, and one that failed is to be tried again."""
    printed = "installed redis-server\nconfig-files nginx\nhalf-configured etcd-server\n"
    assert look.parse_packages(f"{printed}not-installed valkey\ninstalled tzdata\n") == [
        "redis-server",
        "tzdata",
    ]


def test_nothing_is_nothing() -> None:
    """Not even a name."""
    assert look.parse_packages("") == []
