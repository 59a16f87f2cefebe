"""HEIC files as phones make them, box by box: what no encoder at hand can be made to write."""

from __future__ import annotations

import struct
from typing import NamedTuple

import pytest

from gtsd.photos import heic
from gtsd.photos.container import BrokenPhoto
from tests.support.photos import PLACE

GRID = b"\0\0\1\1\0\x40\0\x30"
TILE = b"coded tile" * 20


class Item(NamedTuple):
    """An item: its kind, and its bytes in ``mdat`` (method 0) or ``idat`` (method 1)."""

    kind: bytes
    content: bytes
    method: int = 0


# As an iPhone has it: a grid in idat, its tiles, EXIF and XMP in mdat.
ITEMS = (
    Item(b"grid", GRID, 1),
    Item(b"hvc1", TILE),
    Item(b"Exif", b"\0\0\0\0MM\0*" + PLACE * 4),
    Item(b"mime", b"<x:xmpmeta " + PLACE),
    Item(b"mime", PLACE, 1),
)


def box(kind: bytes, *parts: bytes, wide: bool = False) -> bytes:
    """A box; with a length of 64 bits where it is wide."""
    body = b"".join(parts)
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def file(
    items: tuple[Item, ...] = ITEMS,
    *,
    version: int = 1,
    beyond: int = 0,
    lengths: bool = True,
    more: bytes = b"",
    size: tuple[int, int] = (64, 48),
) -> bytes:
    """A whole file; ``version`` is that of ``iloc``, 2 having numbers of 32 bits."""
    wide = version == 2
    number = ">I" if wide else ">H"
    entries = [
        box(b"infe", bytes([3 if wide else 2, 0, 0, 0]), struct.pack(number, place), b"\0\0", kind)
        for place, (kind, _, _) in enumerate(items, 1)
    ]
    info = box(b"iinf", bytes(4), struct.pack(">H", len(items)), *entries)
    idat = b"".join(item.content for item in items if item.method == 1)

    def meta(mdat: int) -> bytes:
        offsets = {0: mdat, 1: 0, 2: 0}
        rows = []
        for place, (_, content, method) in enumerate(items, 1):
            rows.append(struct.pack(number, place) + struct.pack(">HH", method, 0))
            length = len(content) + beyond if lengths else 0
            rows.append(struct.pack(">HII", 1, offsets[method], length))
            offsets[method] += len(content)
        head = bytes([version, 0, 0, 0]) + struct.pack(">H", 0x4400)
        places = box(b"iloc", head, struct.pack(number, len(items)), *rows)
        properties = box(
            b"iprp",
            box(
                b"ipco",
                box(b"ispe", bytes(4), struct.pack(">II", *size)),
                box(b"irot", b"\1"),
                box(b"udes", bytes(4), PLACE),
            ),
        )
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(24)),
            box(b"pitm", bytes(6)),
            info,
            places,
            properties,
            box(b"idat", idat),
            box(b"uuid", bytes(16), PLACE),
        )

    start = box(b"ftyp", b"heic\0\0\0\0mif1heic") + more
    at = len(start) + len(meta(0)) + 16
    coded = b"".join(item.content for item in items if item.method == 0)
    film = box(b"moov", box(b"udta", PLACE))
    return start + meta(at) + box(b"mdat", coded, PLACE, wide=True) + film


@pytest.mark.parametrize("version", [1, 2])
def test_only_structure_and_images_stay(version: int) -> None:
    """Grid and tile where they were; no place in EXIF, XMP, properties, loose bytes or a film."""
    before = file(version=version)
    after = heic.strip(before)
    assert before.count(PLACE) == 10
    assert PLACE not in after
    assert len(after) == len(before)
    for kept in (GRID, TILE, b"irot", b"ispe", b"ftypheic"):
        assert after.index(kept) == before.index(kept), kept
    assert heic.strip(after) == after


def test_what_is_no_image_is_overwritten_where_it_lies() -> None:
    """Boxes become free space, so that those after them keep their numbers and places."""
    before = file()
    after = heic.strip(before)
    for gone in (b"uuid", b"udes", b"moov"):
        at = before.index(gone)
        assert after[at : at + 4] == b"free"
    # A reader of the EXIF finds a header and no entries.
    at = before.index(b"MM\0*")
    assert after[at - 4 : at + 14] == b"\0\0\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"


@pytest.mark.parametrize(
    "content",
    [
        file(ITEMS[2:]),
        file(beyond=1),
        file(beyond=2**31),
        file(lengths=False),
        file((Item(b"hvc1", TILE, 2),)),
        file(more=b"\0\0\0\4oops"),
        file(more=b"\x7f\xff\xff\xffmdat"),
        file(size=(60_000, 60_000)),
        file(size=(0, 48)),
        file()[:-1],
        file().replace(b"meta", b"mete"),
        file().replace(b"iloc", b"ilok"),
        file().replace(b"iprp", b"iprq"),
    ],
    ids=[
        "no image",
        "past the end of idat",
        "past the end of the file",
        "no lengths",
        "items in items",
        "a box shorter than its head",
        "a box longer than the file",
        "too many pixels",
        "no pixels",
        "cut short",
        "no meta",
        "no places",
        "no properties",
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused(content: bytes) -> None:
    """Rather than to guess what of it may stay."""
    assert heic.begins(content)
    with pytest.raises(BrokenPhoto):
        heic.strip(content)


def test_items_that_share_their_bytes_do_not_make_it_slow() -> None:
    """Ten thousand items of the whole file each would be copied for minutes."""
    many = b"".join(
        struct.pack(">HHHHII", number, 0, 0, 1, 0, 100_000) for number in range(1, 10_000)
    )
    whole = file((Item(b"hvc1", bytes(200_000)),))
    at = whole.index(b"iloc")
    (size,) = struct.unpack_from(">I", whole, at - 4)
    hostile = box(b"iloc", b"\1\0\0\0", struct.pack(">HH", 0x4400, 9_999), many)
    grown = len(hostile) - size
    content = bytearray(whole[: at - 4] + hostile + whole[at - 4 + size :])
    meta = content.index(b"meta")
    (length,) = struct.unpack_from(">I", content, meta - 4)
    struct.pack_into(">I", content, meta - 4, length + grown)
    with pytest.raises(BrokenPhoto, match="damaged"):
        heic.strip(bytes(content))
