"""Photos lose where they were taken, and nothing that one sees of them."""

from __future__ import annotations

import contextlib
import io
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gtsd.photos import orientation
from gtsd.photos.container import BrokenPhoto
from gtsd.photos.formats import FORMATS, ContentType, format_of, strip
from tests.support.photos import MAKER, ORIENTATION, PLACE, TYPES, bomb, photo, pixels, tags

# Of computing, whatever else the machine has to do.
_BOUND_S = 1.0


def canaries(content: bytes) -> list[bytes]:
    """What of the metadata can still be read."""
    return [word for word in (MAKER, PLACE, b"GPSLatitude", b"2026:11:18") if word in content]


@pytest.mark.parametrize("content_type", TYPES)
def test_a_photo_keeps_its_pixels_and_which_side_is_up(content_type: ContentType) -> None:
    """Bit for bit; in HEIC the turning is a property of the image, in the others of the EXIF."""
    before = photo(content_type)
    after = strip(before, content_type)
    assert pixels(after) == pixels(before)
    kept = {} if content_type == "image/heic" else {0x0112: ORIENTATION}
    assert tags(after) == kept
    with Image.open(io.BytesIO(after)) as picture:
        assert picture.format == {"image/jpeg": "JPEG", "image/png": "PNG"}.get(
            content_type, "HEIF"
        )


@pytest.mark.parametrize("content_type", TYPES)
def test_nothing_tells_where_a_photo_was_taken(content_type: ContentType) -> None:
    """Not the EXIF, the XMP, a comment, nor what follows the image. Before, all of them do."""
    before = photo(content_type)
    assert canaries(before)
    assert 0x8825 in tags(before) or content_type == "image/heic"
    after = strip(before, content_type)
    assert canaries(after) == []
    with Image.open(io.BytesIO(after)) as picture:
        picture.load()
        assert picture.getexif().get_ifd(0x8825) == {}
        assert b"GPS" not in repr(picture.info).encode()


def test_the_colours_stay_as_they_are_meant() -> None:
    """The colour profile is no metadata of a person."""
    with Image.open(io.BytesIO(strip(photo("image/jpeg"), "image/jpeg"))) as picture:
        assert picture.info["icc_profile"] == b"colours"
        assert picture.info["jfif"]


@pytest.mark.parametrize("content_type", TYPES)
def test_stripping_twice_is_stripping_once(content_type: ContentType) -> None:
    """What was stripped is a photo of its type, with nothing to strip."""
    once = strip(photo(content_type), content_type)
    assert format_of(once) == content_type
    assert strip(once, content_type) == once


@pytest.mark.parametrize("content_type", TYPES)
def test_a_photo_without_metadata_gets_none(content_type: ContentType) -> None:
    """No EXIF is made up."""
    out = io.BytesIO()
    Image.new("RGB", (20, 10), "teal").save(
        out, FORMATS[content_type].extension.replace("jpg", "jpeg").replace("heic", "heif")
    )
    after = strip(out.getvalue(), content_type)
    assert pixels(after) == pixels(out.getvalue())
    assert tags(after) == {}


def test_a_progressive_jpeg_is_walked_through_scan_by_scan() -> None:
    """With restart markers within its scans, too."""
    out = io.BytesIO()
    picture = Image.effect_noise((200, 120), 80).convert("RGB")
    picture.save(out, "JPEG", progressive=True, restart_marker_rows=1, comment=PLACE)
    after = strip(out.getvalue(), "image/jpeg")
    assert pixels(after) == pixels(out.getvalue())
    assert canaries(after) == []


@pytest.mark.parametrize("content_type", TYPES)
def test_a_photo_that_is_cut_short_is_refused(content_type: ContentType) -> None:
    """Wherever it is cut within the image; what came of it is never a photo with metadata."""
    whole = photo(content_type)
    image = len(strip(whole, content_type)) if content_type != "image/heic" else len(whole)
    for end in range(0, min(image, len(whole)) - 20, 7):
        with pytest.raises(BrokenPhoto):
            strip(whole[:end], content_type)


@pytest.mark.parametrize("content_type", TYPES)
def test_a_damaged_photo_is_stripped_or_refused_and_nothing_else(
    content_type: ContentType,
) -> None:
    """Thousands of files with wrong bytes anywhere: no other error, and never for long."""
    whole, chance = photo(content_type), random.Random(7)
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            damaged[chance.randrange(min(len(damaged), 1500))] = chance.randrange(256)
        began = time.thread_time()
        with contextlib.suppress(BrokenPhoto):
            assert len(strip(bytes(damaged), content_type)) <= len(damaged) + 64
        assert time.thread_time() - began < _BOUND_S


@given(st.binary(max_size=400), st.sampled_from(TYPES))
def test_arbitrary_bytes_are_refused(content: bytes, content_type: ContentType) -> None:
    """With the first bytes of a photo in front of them as well."""
    for begin in (b"", photo(content_type)[:12], photo(content_type)[:40]):
        with pytest.raises(BrokenPhoto):
            strip(begin + content, content_type)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff" + b"\xff\xfe\x00\x02" * 2_600_000,
        b"\xff\xd8" + b"\xff" * 10_000_000,
        b"\xff\xd8\xff\xda\x00\x02" + b"\x00" * 10_000_000,
        bomb(9, 9)[:33] + b"\0\0\0\0tEXt\0\0\0\0" * 800_000,
        b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0\0\0\x08free" * 1_200_000,
    ],
    ids=["segments", "filling", "scan", "chunks", "boxes"],
)
def test_a_hostile_file_is_refused_in_no_time(content: bytes) -> None:
    """Ten megabytes of the smallest parts that there are."""
    content_type = format_of(content)
    assert content_type is not None
    began = time.thread_time()
    with pytest.raises(BrokenPhoto):
        strip(content, content_type)
    assert time.thread_time() - began < _BOUND_S


def test_a_photo_that_no_client_could_show_is_refused() -> None:
    """A file of a hundred bytes that unpacks to gigabytes; nothing is unpacked to know that."""
    assert strip(bomb(20_000, 10_000), "image/png")
    for width, height in ((20_001, 10_000), (2**31, 2**31), (0, 5)):
        with pytest.raises(BrokenPhoto):
            strip(bomb(width, height), "image/png")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 64,
        b"GIF89a",
        b"<svg onload=alert(1)>",
        b"<!DOCTYPE html>",
        b"%PDF-1.7",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
        b"\0\0\0\x14ftypqt  ",
    ],
)
def test_what_is_no_photo_is_not_taken_for_one(content: bytes) -> None:
    """By its first bytes, whatever its name and type say."""
    assert format_of(content) is None


@pytest.mark.parametrize("value", range(11))
def test_only_an_orientation_that_there_is_is_kept(value: int) -> None:
    """1 is upright, which needs no word; 2 to 8 are the others."""
    made = Image.Exif()
    made[0x0112] = value
    found = orientation.find(made.tobytes()[6:])
    assert found == (value if 2 <= value <= 8 else None)
    if found:
        assert orientation.find(orientation.write(found)) == found
