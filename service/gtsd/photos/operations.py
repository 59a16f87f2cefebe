"""Use cases of photos.

A client uploads to ``uploads/``, which nobody is ever given to read. The confirmation writes a copy
without metadata to ``photos/``, under a key that was never used before, and only then is there
anything to download. Whatever dies in between leaves an object that no row names, and ``jobs.py``
collects those.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gtsd import deadline
from gtsd.badges import operations as badges
from gtsd.badges.operations import Deed
from gtsd.errors import (
    ApiError,
    BadRequest,
    Conflict,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from gtsd.photos import queries as q
from gtsd.photos.formats import FORMATS, BrokenPhoto, ContentType, format_of, strip
from gtsd.photos.types import (
    Confirmation,
    NewUpload,
    Photo,
    PhotoConfirmed,
    PhotoQuery,
    Photos,
    UploadAllowed,
)
from gtsd.stores.postgres import ConstraintViolated
from gtsd.stores.s3 import Download, ObjectMissing
from gtsd.streaks import operations as streaks
from gtsd.tasks.operations import Person
from gtsd.web.answers import encode
from gtsd.web.fields import Pagination

if TYPE_CHECKING:
    from gtsd.deps import Deps
    from gtsd.stores.postgres import Transaction

UPLOAD_S: Final = 600
_DOWNLOAD_S: Final = 300
_DELETE_S: Final = 2.0
# So that nobody fills the bucket with what is never confirmed: they count for 24 hours.
_MOST_UNCONFIRMED: Final = 100


@dataclass(frozen=True, slots=True)
class Copied:
    """What a confirmation has written to the bucket before it begins its transaction."""

    photo_id: int
    object_key: str
    size: int
    download_url: str


class AlreadyConfirmed(Exception):
    """There is such a photo; confirming it again changes nothing."""

    def __init__(self, photo_id: int) -> None:
        self.photo_id = photo_id
        super().__init__(photo_id)


async def presign(deps: Deps, person: Person, new: NewUpload) -> UploadAllowed:
    """Leave to upload one file; raises TooManyRequests where too many were not confirmed."""
    await deps.objects.require()
    extension = FORMATS[new.content_type].extension
    key = f"uploads/{person.id}/{secrets.token_hex(16)}.{extension}"
    async with deps.postgres.transaction() as tx:
        await streaks.lock(tx, person.id, person.today)
        added = await tx.execute(
            q.ADD_UPLOAD,
            user_id=person.id,
            upload_key=key,
            file_name=new.file_name,
            content_type=new.content_type,
            size=new.file_size,
            most=_MOST_UNCONFIRMED,
            now=person.now,
        )
    if not added:
        raise TooManyRequests(
            f"{_MOST_UNCONFIRMED} uploads wait to be confirmed. Confirm them, or wait a day.",
            code="too_many_uploads",
            retry_after=3600,
        )
    upload = await deps.objects.presign_put(key, new.content_type, new.file_size, UPLOAD_S)
    return UploadAllowed(
        upload_url=upload.url, file_key=key, headers=dict(upload.headers), expires_in=UPLOAD_S
    )


@asynccontextmanager
async def copied(deps: Deps, user_id: int, given: Confirmation) -> AsyncIterator[Copied | None]:
    """Check an upload, and write what is to be kept of it; None where it is confirmed already.

    Outside of any transaction, since it takes as long as the object store does. Raises NotFound
    for what was never presigned, was another user's or is too old, and for another's task;
    Conflict for what was not uploaded, BadRequest for what is not the photo that was agreed.
    """
    await deps.objects.require()
    wanted = {"user_id": user_id, "upload_key": given.file_key, "task_id": given.task_id}
    row = await deps.postgres.row(q.UPLOAD, **wanted)
    if row is None:
        raise NotFound
    photo_id, content_type, size, confirmed, has_task = row
    if confirmed:
        yield None
        return
    if not has_task:
        raise NotFound("There is no such task.")
    key = f"photos/{user_id}/{secrets.token_hex(16)}.{FORMATS[content_type].extension}"

    def change(content: bytes) -> bytes:
        return stripped(content, content_type, size)

    try:
        kept = await deps.objects.rewrite(given.file_key, key, size + 1, change, content_type)
    except ObjectMissing:
        row = await deps.postgres.row(q.UPLOAD, **wanted)
        if row is not None and row[3]:
            # Confirmed meanwhile, and therefore deleted.
            yield None
            return
        raise Conflict(
            "Nothing was uploaded under this fileKey: PUT the file to its uploadUrl first.",
            code="not_uploaded",
        ) from None
    (url,) = await _links(deps, [_download(photo_id, key, content_type)])
    try:
        yield Copied(photo_id, key, kept, url)
    except (AlreadyConfirmed, ApiError) as error:
        # Where the database failed, nobody knows whether the row names the copy by now.
        if not isinstance(error, Unavailable):
            await _delete_soon(deps, key)
        raise


def stripped(content: bytes, content_type: ContentType, size: int) -> bytes:
    """What is kept of an upload; raises BadRequest for what was not agreed or is no photo."""
    if len(content) != size:
        raise _refusal("wrong_size", f"must have the {size} bytes that were agreed")
    found = format_of(content)
    if found != content_type:
        what = f"it is {found}" if found else "it is no JPEG, PNG or HEIC"
        raise _refusal("wrong_type", f"must be the {content_type} that was agreed; {what}")
    try:
        return strip(content, content_type)
    except BrokenPhoto as error:
        raise _refusal("broken_photo", f"the photo {error}") from None


async def confirm(
    deps: Deps, tx: Transaction, person: Person, given: Confirmation, copied: Copied | None
) -> bytes:
    """Keep the copy; raises AlreadyConfirmed, and NotFound where upload or task have gone."""
    await streaks.lock(tx, person.id, person.today)
    if copied is None or not await _keep(tx, person, given, copied):
        row = await tx.row(q.UPLOAD, user_id=person.id, upload_key=given.file_key, task_id=None)
        if row is None or not row[3]:
            raise NotFound
        raise AlreadyConfirmed(row[0])
    await badges.award(tx, person.id, person.today, person.now, Deed.PHOTO)
    tx.after_commit(lambda: _delete_soon(deps, given.file_key))
    return encode(PhotoConfirmed(photo_id=copied.photo_id, download_url=copied.download_url))


async def _keep(tx: Transaction, person: Person, given: Confirmation, copied: Copied) -> bool:
    try:
        rows = await tx.execute(
            q.CONFIRM,
            user_id=person.id,
            id=copied.photo_id,
            object_key=copied.object_key,
            size=copied.size,
            task_id=given.task_id,
            evidence_type=given.evidence_type,
            taken_at=given.taken_at,
            now=person.now,
        )
    except ConstraintViolated as error:
        if error.constraint == "photos_user_id_task_id_fkey":
            raise NotFound("There is no such task.") from None
        raise
    return rows == 1


async def confirmed(deps: Deps, user_id: int, photo_id: int) -> bytes:
    """What ``confirm`` has answered, with a link that is good now."""
    photo = await _photo(deps, user_id, photo_id)
    return encode(PhotoConfirmed(photo_id=photo.id, download_url=photo.download_url))


async def show(deps: Deps, user_id: int, photo_id: int) -> bytes:
    """One photo; raises NotFound, also for another user's."""
    await deps.objects.require()
    return encode(await _photo(deps, user_id, photo_id))


async def _photo(deps: Deps, user_id: int, photo_id: int) -> Photo:
    row = await deps.postgres.row(q.PHOTO, user_id=user_id, id=photo_id)
    if row is None:
        raise NotFound
    (photo,) = await _shown(deps, [row])
    return photo


async def find(deps: Deps, user_id: int, query: PhotoQuery) -> bytes:
    """A page of photos, the newest first."""
    await deps.objects.require()
    wanted = {"user_id": user_id, "task_id": query.task_id}
    rows = await deps.postgres.rows(q.PHOTOS, **wanted, limit=query.limit, offset=query.offset)
    total = await deps.postgres.value(q.COUNT, **wanted)
    pagination = Pagination(
        limit=query.limit,
        offset=query.offset,
        total=total,
        has_more=query.offset + query.limit < total,
    )
    return encode(Photos(photos=await _shown(deps, rows), pagination=pagination))


async def delete(deps: Deps, tx: Transaction, user_id: int, photo_id: int) -> None:
    """Delete a photo, and its object right after the commit; raises NotFound."""
    await deps.objects.require()
    key = await tx.value(q.DELETE, user_id=user_id, id=photo_id)
    if key is None:
        raise NotFound
    tx.after_commit(lambda: _delete_soon(deps, key))


async def forget_owner(tx: Transaction, user_id: int) -> None:
    """Have a job delete all objects of an account that this transaction deletes."""
    await tx.execute(q.FORGET_OWNER, user_id=user_id)


async def _shown(deps: Deps, rows: list[tuple[Any, ...]]) -> list[Photo]:
    urls = await _links(deps, [_download(row[0], row[8], row[4]) for row in rows])
    return [
        Photo(
            id=row[0],
            task_id=row[1],
            evidence_type=row[2],
            file_name=row[3],
            content_type=row[4],
            file_size=row[5],
            taken_at=row[6],
            created_at=row[7],
            download_url=url,
        )
        for row, url in zip(rows, urls, strict=True)
    ]


def _download(photo_id: int, key: str, content_type: ContentType) -> Download:
    # Never the name that a client gave: it would be a header of the answer.
    name = f"photo-{photo_id}.{FORMATS[content_type].extension}"
    return Download(key, content_type, name)


async def _links(deps: Deps, downloads: list[Download]) -> Sequence[str]:
    return await deps.objects.presign_downloads(downloads, _DOWNLOAD_S)


async def _delete_soon(deps: Deps, key: str) -> None:
    """No row names the object any more: where this fails, it is collected with the orphans."""
    try:
        with deadline.within(_DELETE_S):
            await deps.objects.delete(key)
    except ApiError:
        return  # the store has logged why


def _refusal(code: str, problem: str) -> BadRequest:
    return BadRequest("This is not the photo.", code=code, fields={"fileKey": problem})
