"""The demo person's photo: drawn here, and kept by the API's own use cases."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

from gtsd.accounts import queries as accounts
from gtsd.dev.demo import EMAIL
from gtsd.photos import operations as photos
from gtsd.photos import queries as q
from gtsd.photos.types import Confirmation, NewUpload
from gtsd.tasks.operations import Person

if TYPE_CHECKING:
    from gtsd.deps import Deps

_WIDTH: Final = 240
_HEIGHT: Final = 320
_TYPE: Final = "image/png"
_ASK_S: Final = 2.0


async def keep(deps: Deps) -> None:
    """One photo, unless there is one, or the environment names a store that is not there."""
    row = await deps.postgres.row(accounts.CREDENTIALS, email=EMAIL)
    assert row is not None
    user_id: int = row[0]
    if await deps.postgres.value(q.COUNT, user_id=user_id, task_id=None):
        return
    if not await deps.objects.ping(_ASK_S):
        return
    person, content = Person(user_id, deps.clock.today("UTC"), deps.clock.now()), draw()
    new = NewUpload(file_name="demo.png", content_type=_TYPE, file_size=len(content))
    allowed = await photos.presign(deps, person, new)
    # As the client would, who has the URL.
    await deps.objects.put(allowed.file_key, content, _TYPE)
    given = Confirmation(file_key=allowed.file_key, evidence_type="before", taken_at=person.now)
    async with photos.copied(deps, user_id, given) as copied, deps.postgres.transaction() as tx:
        await photos.confirm(deps, tx, person, given, copied)


def draw() -> bytes:
    """A PNG with a sunrise in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        head = struct.pack(">I", len(body)) + kind + body
        return head + struct.pack(">I", zlib.crc32(kind + body))

    rows = [b"\0" + bytes(_grey(x, y) for x in range(_WIDTH)) for y in range(_HEIGHT)]
    head = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def _grey(x: int, y: int) -> int:
    sun = (x - _WIDTH // 2) ** 2 + (y - _HEIGHT) ** 2 < (_WIDTH // 3) ** 2
    return 255 if sun else 40 + 128 * y // _HEIGHT
