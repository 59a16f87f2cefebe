"""The one thing of EXIF that is kept: which side is up.

EXIF is a TIFF file: a header, then a directory of entries of 12 bytes (TIFF 6.0, section 2; the tag
Orientation is 0x0112, of type SHORT).
"""

from __future__ import annotations

import struct
from typing import Final

_TAG: Final = 0x0112
_SHORT: Final = 3
_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}


def find(tiff: bytes) -> int | None:
    """2 to 8 where the photo is to be turned or mirrored; None where it is not, or nobody knows."""
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for number in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * number)
            if (tag, kind, count) == (_TAG, _SHORT, 1):
                return value if 2 <= value <= 8 else None
    except struct.error:
        pass  # a directory that is cut short says nothing
    return None


def write(orientation: int | None) -> bytes:
    """A TIFF file with the orientation and nothing else; with nothing at all for None."""
    head = struct.pack(">2sHI", b"MM", 42, 8)
    if orientation is None:
        return head + struct.pack(">HI", 0, 0)
    return head + struct.pack(">HHHIHHI", 1, _TAG, _SHORT, 1, orientation, 0, 0)
