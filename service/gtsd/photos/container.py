"""What the containers of photos have in common."""

from __future__ import annotations

import struct
from typing import Final

# As many as the largest sensors of phones have. A client that shows a photo has to decode it.
_MOST_PIXELS: Final = 200_000_000
# Files of ten megabytes have some thousands of parts; the bound keeps a hostile one quick.
MOST_PARTS: Final = 20_000


class BrokenPhoto(Exception):
    """Not a whole photo of its kind; the text is for the client."""


def check_dimensions(width: int, height: int) -> None:
    """Raises BrokenPhoto for a photo that no client should try to decode."""
    if not 0 < width * height <= _MOST_PIXELS:
        raise BrokenPhoto(f"must have 1 to {_MOST_PIXELS} pixels, not {width} × {height}")


def count_part(parts: int) -> int:
    """One more than so many parts; raises BrokenPhoto beyond the bound."""
    if parts >= MOST_PARTS:
        raise BrokenPhoto(f"has more than {MOST_PARTS} parts")
    return parts + 1


def read(layout: str, content: bytes | memoryview, at: int) -> tuple[int, ...]:
    """Big-endian numbers at a place; raises BrokenPhoto where the file ends before."""
    try:
        return struct.unpack_from(f">{layout}", content, at)
    except struct.error:
        raise BrokenPhoto("is cut short") from None
