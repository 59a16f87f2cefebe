"""The kinds of photo: how each is known by its first bytes, and how it is stripped.

What is kept is named, all else goes: EXIF with its GPS, XMP, IPTC, comments, makers' own data, and
whatever follows the image (a phone's "motion photo" is a film with its own GPS). Of the EXIF only
the orientation is written anew.

Nothing is decoded. The containers are walked through in one pass, so a photo comes out bit for bit
as it was taken, a "decompression bomb" is as quick as any other file, and time and memory are
bounded by the size of the file. The libraries that could do this decode (Pillow, libvips: a loss of
quality, and a HEVC decoder in C in the process that holds our secrets), cannot write HEIC (exiv2)
or are programs that must be installed on every machine (ExifTool).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from gtsd.photos import heic, jpeg, png
from gtsd.photos.container import BrokenPhoto

__all__ = ["FORMATS", "BrokenPhoto", "ContentType", "Format", "format_of", "strip"]

ContentType = Literal["image/jpeg", "image/png", "image/heic"]


class Format(NamedTuple):
    """``strip`` gives the photo without metadata; it raises BrokenPhoto."""

    extension: str
    begins: Callable[[bytes], bool]
    strip: Callable[[bytes], bytes]


FORMATS: Final[dict[ContentType, Format]] = {
    "image/jpeg": Format("jpg", jpeg.begins, jpeg.strip),
    "image/png": Format("png", png.begins, png.strip),
    "image/heic": Format("heic", heic.begins, heic.strip),
}


def format_of(content: bytes) -> ContentType | None:
    """What a file is by its first bytes, whatever it says of itself; None for anything else."""
    for content_type, kind in FORMATS.items():
        if kind.begins(content):
            return content_type
    return None


def strip(content: bytes, content_type: ContentType) -> bytes:
    """The photo without metadata but its orientation; raises BrokenPhoto."""
    return FORMATS[content_type].strip(content)
