"""PNG: a signature and chunks (W3C Portable Network Graphics, third edition, section 5)."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from gtsd.photos import orientation
from gtsd.photos.container import BrokenPhoto, check_dimensions, count_part, read

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_IMAGE: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"})
# How its colours are meant, and nothing that a person could be found by.
_COLOURS: Final = frozenset(
    {b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD"}
    | {b"hIST", b"pHYs", b"sPLT"}
)


def begins(content: bytes) -> bool:
    """By its signature."""
    return content.startswith(_SIGNATURE)


def strip(content: bytes) -> bytes:
    """The chunks of the image, up to its end; raises BrokenPhoto."""
    kept: list[bytes] = []
    turned: int | None = None
    seen: set[bytes] = set()
    parts, at = 0, len(_SIGNATURE)
    while b"IEND" not in seen:
        parts = count_part(parts)
        (length,) = read("I", content, at)
        kind, end = content[at + 4 : at + 8], at + 12 + length
        if end > len(content):
            raise BrokenPhoto("is cut short")
        if (kind == b"IHDR") == bool(seen):
            raise BrokenPhoto("is damaged")
        if kind == b"IHDR":
            check_dimensions(*read("II", content, at + 8))
        if kind == b"eXIf":
            turned = turned or orientation.find(content[at + 8 : end - 4])
        if kind in _IMAGE or kind in _COLOURS:
            seen.add(kind)
            kept.append(content[at:end])
        at = end
    if b"IDAT" not in seen:
        raise BrokenPhoto("has no image in it")
    if turned is not None:
        kept.insert(1, _chunk(b"eXIf", orientation.write(turned)))
    return _SIGNATURE + b"".join(kept)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
