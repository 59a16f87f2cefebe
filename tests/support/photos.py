"""Photos as phones take them: turned, with the place in everything that can hold it."""

from __future__ import annotations

import http.client
import io
import struct
import zlib
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pillow_heif
from PIL import Image, PngImagePlugin

pillow_heif.register_heif_opener()

TYPES = ("image/jpeg", "image/png", "image/heic")
SIZE = (96, 64)
# On a side, and so turned by a quarter when it is shown.
ORIENTATION = 6
# The canaries: a maker, and a place in EXIF, XMP and plain text.
MAKER = b"Canary-Maker"
PLACE = b"52,31.25N"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="' + PLACE + b'"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def exif() -> bytes:
    """With orientation, maker and a place."""
    made = Image.Exif()
    made[0x0112] = ORIENTATION
    made[0x010F] = MAKER.decode()
    place = made.get_ifd(0x8825)
    place.update({1: "N", 2: (52.0, 31.0, 15.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    place[29] = "2026:11:18"
    return made.tobytes()


def _picture() -> Image.Image:
    picture = Image.radial_gradient("L").resize(SIZE)
    return Image.merge("RGB", (picture, picture.transpose(Image.Transpose.ROTATE_180), picture))


@cache
def photo(content_type: str) -> bytes:
    """A photo of that type with all of it."""
    out = io.BytesIO()
    picture = _picture()
    if content_type == "image/jpeg":
        picture.save(out, "JPEG", exif=exif(), xmp=XMP, comment=PLACE, icc_profile=b"colours")
        return out.getvalue() + b"\xff\xd8\xff\xe1 a film " + PLACE
    if content_type == "image/heic":
        picture.save(out, "HEIF", exif=exif(), xmp=XMP, quality=90)
        return out.getvalue() + struct.pack(">I4s", 8 + len(PLACE), b"mpvd") + PLACE
    text = PngImagePlugin.PngInfo()
    text.add_text("Location", PLACE.decode())
    text.add_text("Comment", PLACE.decode(), zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    picture.save(out, "PNG", exif=exif(), pnginfo=text)
    return out.getvalue() + PLACE


def pixels(content: bytes) -> tuple[tuple[int, int], bytes]:
    """The photo as it lies in the file, by another decoder than ours would be."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size, picture.convert("RGB").tobytes()


def tags(content: bytes) -> dict[int, Any]:
    """What is left of the EXIF; the place under 0x8825 if there is one."""
    with Image.open(io.BytesIO(content)) as picture:
        found = picture.getexif()
        place = dict(found.get_ifd(0x8825))
        return dict(found) | ({0x8825: place} if place else {})


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        head = struct.pack(">I", len(body)) + kind + body
        return head + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def request(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """What a client without our keys gets from the object store; header names in lower case."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, names, answer.read()
    finally:
        connection.close()
