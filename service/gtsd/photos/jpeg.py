"""JPEG: segments, each with a marker and a length (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from typing import Final

from gtsd.photos import orientation
from gtsd.photos.container import BrokenPhoto, check_dimensions, count_part, read

_START: Final = b"\xff\xd8"
_SCAN, _END = 0xDA, 0xD9
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What the image is made of: tables, frames, scans, restart intervals.
_IMAGE: Final = _FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}
# How its colours are meant, and nothing that a person could be found by.
_COLOURS: Final = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))
_EXIF: Final = b"Exif\0\0"
_FILLING: Final = re.compile(rb"\xff*")
# Within a scan 0xff is followed by 0, by the number of a restart, or by filling 0xff.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def begins(content: bytes) -> bool:
    """By its first three bytes."""
    return content.startswith(_START + b"\xff")


def strip(content: bytes) -> bytes:
    """Everything between start and end of the image but metadata; raises BrokenPhoto."""
    kept: list[bytes] = []
    turned: int | None = None
    seen: set[int] = set()
    parts, at = 0, 2
    while True:
        parts = count_part(parts)
        at, marker = _marker(content, at)
        if marker == _END:
            break
        (length,) = read("H", content, at + 1)
        end = at + 1 + length
        if length < 2 or end > len(content):
            raise BrokenPhoto("is cut short")
        body = content[at + 3 : end]
        if marker == 0xE1 and body.startswith(_EXIF):
            turned = turned or orientation.find(body[len(_EXIF) :])
        if marker in _FRAMES:
            height, width = read("HH", body, 1)
            # The height may be left open until after the first scan.
            check_dimensions(width, height or 1)
        if marker == _SCAN:
            end = _end_of_scan(content, end)
        if marker in _IMAGE or any(m == marker and body.startswith(name) for m, name in _COLOURS):
            seen.add(marker)
            kept.append(content[at - 1 : end])
        at = end
    if _SCAN not in seen or not seen & _FRAMES:
        raise BrokenPhoto("has no image in it")
    return b"".join([_START, *_turned(turned), *kept, b"\xff", bytes([_END])])


def _marker(content: bytes, at: int) -> tuple[int, int]:
    """Place and code of the marker that must come here, after any filling."""
    if content[at : at + 1] != b"\xff":
        raise BrokenPhoto("is cut short" if at >= len(content) else "is damaged")
    filling = _FILLING.match(content, at)
    assert filling is not None
    at = filling.end()
    (marker,) = read("B", content, at)
    return at, marker


def _end_of_scan(content: bytes, at: int) -> int:
    found = _MARKER.search(content, at)
    if found is None:
        raise BrokenPhoto("is cut short")
    return found.start()


def _turned(turned: int | None) -> list[bytes]:
    if turned is None:
        return []
    exif = _EXIF + orientation.write(turned)
    return [b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif]
