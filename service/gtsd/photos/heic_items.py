"""Which item of a HEIC file is what, and where its bytes are (ISO/IEC 14496-12, section 8.11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gtsd.photos.container import BrokenPhoto, count_part, read

_IN_FILE, _IN_IDAT = 0, 1


class Extent(NamedTuple):
    """Some of an item's bytes, as places in the file."""

    item: int
    start: int
    end: int


def first_entry(content: bytes, body: int) -> int:
    """Where the entries of an ``iinf`` begin."""
    (version,) = read("B", content, body)
    return body + 4 + (2 if version == 0 else 4)


def kinds(content: bytes, entries: Iterable[tuple[bytes, int]]) -> dict[int, bytes]:
    """The kind of each item, out of the bodies of ``infe`` boxes; old ones name no image."""
    found = {}
    for box, body in entries:
        (version,) = read("B", content, body)
        if box == b"infe" and version in (2, 3):
            wide = version == 3
            (item,) = read("I" if wide else "H", content, body + 4)
            kind = body + (10 if wide else 8)
            found[item] = content[kind : kind + 4]
    return found


def extents(content: bytes, body: int, idat: tuple[int, int]) -> Iterator[Extent]:
    """Every extent of an ``iloc``; ``idat`` is where that box's content lies. Raises BrokenPhoto.

    All of them together are not much longer than the file, so whoever copies them is done soon.
    """
    reader = _Reader(content, body)
    version = reader.take(1)
    reader.take(3)
    sizes = reader.take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    parts, left = 0, 2 * len(content)
    for _ in range(reader.take(wide)):
        item = reader.take(wide)
        method = reader.take(2) & 15 if version in (1, 2) else _IN_FILE
        if method not in (_IN_FILE, _IN_IDAT) or reader.take(2) != 0:
            raise BrokenPhoto("keeps its image in a way that is not supported")
        base = reader.take(base_size) + (idat[0] if method == _IN_IDAT else 0)
        parts = count_part(parts)
        for _ in range(reader.take(2)):
            parts = count_part(parts)
            reader.take(index_size)
            start = base + reader.take(offset_size)
            length = reader.take(length_size)
            # Without a length it is all that there is, which is a way to keep metadata, too.
            if length == 0:
                raise BrokenPhoto("keeps its image in a way that is not supported")
            if method == _IN_IDAT and start + length > idat[1]:
                raise BrokenPhoto("is cut short")
            left -= length
            if start + length > len(content) or left < 0:
                raise BrokenPhoto("is cut short or damaged")
            yield Extent(item, start, start + length)


class _Reader:
    """Takes numbers of several sizes, one after the other."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self._at = at

    def take(self, size: int) -> int:
        """A number of so many bytes; 0 of none."""
        end = self._at + size
        if end > len(self._content):
            raise BrokenPhoto("is cut short")
        number = int.from_bytes(self._content[self._at : end], "big")
        self._at = end
        return number
