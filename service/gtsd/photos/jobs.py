"""Jobs of photos: the bucket holds what the rows name, and nothing else for longer than a day.

Each of them may be run again, and beside a confirmation. An upload is either confirmed or expired,
as the row decides; an object is an orphan only where no row names it and it is a day old, and a
confirmation writes under a key that was never used before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from loguru import logger

from gtsd.photos import queries as q
from gtsd.photos.operations import UPLOAD_S
from gtsd.stores.s3 import ObjectInfo

if TYPE_CHECKING:
    from gtsd.deps import Deps

_UNCONFIRMED: Final = timedelta(hours=24)
# Until then an upload that was presigned before the account was deleted may still arrive.
_OVER: Final = timedelta(seconds=UPLOAD_S + 60)
_FOLDERS: Final = ("photos/", "uploads/")
_PAGE: Final = 1000
_PAGES: Final = 50
_AT_A_TIME: Final = 4


async def expire_uploads(deps: Deps) -> None:
    """Delete uploads that were not confirmed within 24 hours, row first and then object."""
    before, expired = deps.clock.now() - _UNCONFIRMED, 0
    while deps.objects.configured:
        rows = await deps.postgres.rows(q.EXPIRE_UPLOADS, before=before, limit=_PAGE)
        # If this fails, no row names them any more, and they are collected as orphans.
        await _delete(deps, [row[0] for row in rows])
        expired += len(rows)
        if len(rows) < _PAGE:
            break
    logger.bind(uploads=expired).info("unconfirmed uploads were deleted")


async def delete_photos_of_deleted(deps: Deps) -> None:
    """Delete the objects of accounts that were deleted.

    An account is done once nothing can be uploaded for it any more; until then each run looks
    again.
    """
    over, after = deps.clock.now() - _OVER, 0
    while True:
        rows = await deps.postgres.rows(q.DELETED_OWNERS, over=over, after=after, limit=_PAGE)
        for user_id, is_over in rows:
            if deps.objects.configured:
                for folder in _FOLDERS:
                    await _empty(deps, f"{folder}{user_id}/")
            if is_over:
                await deps.postgres.execute(q.OWNER_DONE, user_id=user_id)
            after = user_id
        if len(rows) < _PAGE:
            break


async def collect_orphans(deps: Deps) -> None:
    """Delete objects that no row names, once they are a day old.

    So many pages a run, of which one is in memory at a time; the next run goes on from there, and
    begins anew after the last page.
    """
    orphans = 0
    for folder in _FOLDERS if deps.objects.configured else ():
        after = await deps.postgres.value(q.SWEPT, folder=folder) or ""
        for _ in range(_PAGES):
            page = await deps.objects.list(folder, _PAGE, after)
            orphans += await _sweep(deps, page)
            after = page[-1].key if page else ""
            await deps.postgres.execute(q.SWEEP, folder=folder, after=after)
            if not page:
                break
    logger.bind(objects=orphans).info("orphans were deleted")


async def _sweep(deps: Deps, page: Sequence[ObjectInfo]) -> int:
    before = deps.clock.now() - _UNCONFIRMED
    owned = [(_owner(one.key), one.key) for one in page if one.modified < before]
    old = [(owner, key) for owner, key in owned if owner is not None]
    if not old:
        return 0
    owners, keys = zip(*old, strict=True)
    known = await deps.postgres.rows(q.KNOWN, owners=list(owners), keys=list(keys))
    lost = set(keys) - {row[0] for row in known}
    await _delete(deps, lost)
    return len(lost)


def _owner(key: str) -> int | None:
    """Whose object it is by its key; None for what we did not put there."""
    parts = key.split("/")
    ours = len(parts) == 3 and parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 19
    return int(parts[1]) if ours else None


async def _pages(deps: Deps, folder: str) -> AsyncIterator[Sequence[ObjectInfo]]:
    after = ""
    while page := await deps.objects.list(folder, _PAGE, after):
        yield page
        after = page[-1].key


async def _empty(deps: Deps, folder: str) -> None:
    async for page in _pages(deps, folder):
        await _delete(deps, [one.key for one in page])


async def _delete(deps: Deps, keys: Iterable[str]) -> None:
    """A few at a time, so that requests find a thread as well."""
    waiting = iter(sorted(keys))

    async def work() -> None:
        for key in waiting:
            await deps.objects.delete(key)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(work())
