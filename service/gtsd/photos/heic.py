"""HEIC: boxes in boxes, and a table of which bytes are which item (ISO/IEC 14496-12 and 23008-12).

Items refer to each other, and to their bytes, by number and offset. So nothing is moved: what must
go is overwritten where it lies, and the file keeps its length. What stays is the structure that
names images, and the bytes of the items that are images. Which side is up is a property of the
image here (``irot``, ``imir``) and stays; readers must not heed the EXIF for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gtsd.photos import heic_items, orientation
from gtsd.photos.container import BrokenPhoto, check_dimensions, count_part, read

_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"})
_TOP: Final = frozenset({b"ftyp", b"meta", b"mdat"})
_META: Final = frozenset(
    {b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"iref", b"idat", b"dinf", b"grpl"}
)
_PROPERTIES: Final = frozenset(
    {b"hvcC", b"av1C", b"avcC", b"lhvC", b"ispe", b"pixi", b"colr", b"pasp", b"clap", b"irot"}
    | {b"imir", b"auxC", b"lsel", b"clli", b"mdcv", b"cclv", b"amve", b"rloc", b"oinf", b"tols"}
)
_IMAGES: Final = frozenset(
    {b"hvc1", b"hev1", b"av01", b"avc1", b"jpeg", b"lhv1", b"grid", b"iden", b"iovl", b"tmap"}
)
_FREE: Final = b"free"


class _Box(NamedTuple):
    kind: bytes
    start: int
    body: int
    end: int


def begins(content: bytes) -> bool:
    """By a first box that names one of its brands."""
    if content[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(content[:4], "big"), 256)
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, length, 4))]
    return not _BRANDS.isdisjoint(brands) and brands[0] not in {b"avif", b"avis"}


def strip(content: bytes) -> bytes:
    """The file in its length, with all but the images overwritten; raises BrokenPhoto."""
    file = bytearray(content)
    top = {}
    for box in _boxes(content, 0, len(content)):
        if box.kind not in _TOP or (box.kind == b"meta" and b"meta" in top):
            _blank(file, box)
        elif box.kind != b"mdat":
            top[box.kind] = box
    if b"meta" not in top:
        raise BrokenPhoto("has no image in it")
    meta = {}
    for box in _boxes(content, top[b"meta"].body + 4, top[b"meta"].end):
        if box.kind in _META:
            meta[box.kind] = box
        else:
            _blank(file, box)
    _strip_properties(content, file, meta)
    _strip_items(content, file, meta)
    return bytes(file)


def _boxes(content: bytes, at: int, end: int) -> Iterator[_Box]:
    parts = 0
    while at < end:
        parts = count_part(parts)
        length, kind = read("I", content, at)[0], content[at + 4 : at + 8]
        body = at + 8
        if length == 1:
            (length,) = read("Q", content, body)
            body += 8
        stop = end if length == 0 else at + length
        if stop < body or stop > end:
            raise BrokenPhoto("is cut short or damaged")
        yield _Box(kind, at, body, stop)
        at = stop


def _blank(file: bytearray, box: _Box) -> None:
    """Readers pass over free space, and count it where boxes are counted."""
    file[box.start + 4 : box.start + 8] = _FREE
    file[box.body : box.end] = bytes(box.end - box.body)


def _strip_properties(content: bytes, file: bytearray, meta: dict[bytes, _Box]) -> None:
    if b"iprp" not in meta:
        raise BrokenPhoto("has no image in it")
    for box in _boxes(content, meta[b"iprp"].body, meta[b"iprp"].end):
        if box.kind != b"ipco":
            continue
        for one in _boxes(content, box.body, box.end):
            if one.kind == b"ispe":
                check_dimensions(*read("II", content, one.body + 4))
            if one.kind not in _PROPERTIES:
                _blank(file, one)


def _strip_items(content: bytes, file: bytearray, meta: dict[bytes, _Box]) -> None:
    for needed in (b"iinf", b"iloc", b"pitm"):
        if needed not in meta:
            raise BrokenPhoto("has no image in it")
    info, idat = meta[b"iinf"], meta.get(b"idat")
    entries = _boxes(content, heic_items.first_entry(content, info.body), info.end)
    kinds = heic_items.kinds(content, ((box.kind, box.body) for box in entries))
    within = (idat.body, idat.end) if idat else (0, 0)
    extents = list(heic_items.extents(content, meta[b"iloc"].body, within))
    images = [one for one in extents if kinds.get(one.item) in _IMAGES]
    if not images:
        raise BrokenPhoto("has no image in it")
    for box in [*_boxes(content, 0, len(content)), *([idat] if idat else [])]:
        if box.kind in (b"mdat", b"idat"):
            file[box.body : box.end] = bytes(box.end - box.body)
    # An EXIF without entries where there was one, so that no reader stumbles over zeros.
    empty = bytes(4) + orientation.write(None)
    for one in extents:
        if kinds.get(one.item) == b"Exif" and one.end - one.start >= len(empty):
            file[one.start : one.start + len(empty)] = empty
    for one in images:
        file[one.start : one.end] = content[one.start : one.end]
