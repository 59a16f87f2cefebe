"""Which release a rollback goes to, and which code an already contracted schema allows; pure.

A release that ships the file of a contract migration was written for what is left after it. One
that does not may still use what the migration takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from gtsd.deploys.chain import iso
from gtsd.deploys.history import Story, Verdict
from gtsd.migrate.ledger import Entry


class PassedOver(NamedTuple):
    """A release that is not the target, and why."""

    version: str
    why: str


class Choice(NamedTuple):
    """``target`` is None where no release will do; ``passed_over`` are those looked at before."""

    target: str | None
    passed_over: list[PassedOver]


def choose(
    current: str,
    available: Collection[str],
    stories: Mapping[str, Story],
    unfit: Callable[[str], str | None],
    named: str | None = None,
) -> Choice:
    """The release that served last of the good ones that are older than the current one.

    Older is what served for the first time before it did; where it never served, all that did.
    ``named`` is looked at alone, and may be newer. ``unfit`` says why a release cannot run on the
    schema as it is, None where it can; it is asked last, and only of releases that would do.
    """
    passed_over: list[PassedOver] = []
    order = [named] if named is not None else _newest_first(current, available, stories)
    for version in order:
        story = stories.get(version, Story(version))
        why = _history(story, current, stories, alone=named is not None)
        if why is None and version not in available:
            why = f"it is not on the hosts ({', '.join(sorted(available)) or 'nothing'} is)"
        why = why or unfit(version)
        if why is None:
            return Choice(version, passed_over)
        passed_over.append(PassedOver(version, why))
    return Choice(None, passed_over)


def _newest_first(
    current: str, available: Collection[str], stories: Mapping[str, Story]
) -> list[str]:
    """What never served comes first, so that it is told that it was passed over."""
    silent = sorted(v for v in available if stories.get(v, Story(v)).last_served is None)
    served = [story for story in stories.values() if story.last_served is not None]
    served.sort(key=lambda story: story.last_served or 0, reverse=True)
    return [v for v in [*silent, *(story.version for story in served)] if v != current]


def _history(
    story: Story, current: str, stories: Mapping[str, Story], *, alone: bool
) -> str | None:
    if story.version == current:
        return "it is the release that runs"
    if story.verdict is Verdict.BAD:
        return f"it is bad: {story.why_bad}"
    if story.first_served is None:
        known = "it was never released" if story.last_event is None else "it never served"
        return f"{known}: the ledger has no success of it"
    began = stories.get(current, Story(current)).first_served
    if not alone and began is not None and story.first_served > began:
        return f"it was released after {current}"
    return None


def not_shipped(contracts: Sequence[Entry], shipped: Collection[str]) -> list[Entry]:
    """The applied contract migrations whose files a release does not have, by their names."""
    return [e for e in contracts if e.phase == "contract" and e.name not in shipped]


def needs_old_shape(lacking: Entry, oldest: str | None) -> str:
    """Why code cannot run any more; ``oldest`` is the first release that can."""
    when = f"{iso(lacking.applied_at)[:19]}Z"
    able = f"the oldest that does is {oldest}" if oldest else "of the releases here none does"
    return (
        f"it needs what {lacking.name} took away at {when} (applied by gtsd"
        f" {lacking.gtsd_version}): its migrations/ does not have that file; {able}"
    )
