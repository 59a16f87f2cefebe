"""What clients send and get about photos."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

from gtsd.photos.formats import ContentType
from gtsd.web.fields import END, Id, Input, Output, Page, Pagination, Timestamp, day_problems

MAX_BYTES: Final = 10_485_760

EvidenceMoment = Literal["before", "during", "after"]
FileName = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f/\\]{1,255}" + END,
        description="a file name of 1 to 255 characters, without slashes; for your own use",
        examples=["front.jpg"],
    ),
]
FileKey = Annotated[
    str,
    Meta(
        pattern=r"^uploads/[1-9][0-9]{0,18}/[0-9a-f]{32}\.(jpg|png|heic)" + END,
        description="a fileKey as presign gave it",
        examples=["uploads/1/0123456789abcdef0123456789abcdef.jpg"],
    ),
]
Size = Annotated[int, Meta(ge=1, le=MAX_BYTES, examples=[2_481_152])]
DownloadUrl = Annotated[
    str,
    Meta(description="Gives the photo to whoever has it, for 5 minutes; ask again for another."),
]


class NewUpload(Input, frozen=True):
    """What is going to be uploaded: exactly so many bytes of this type."""

    file_name: FileName
    content_type: ContentType
    file_size: Size


class Confirmation(Input, frozen=True):
    """The upload is done; what it shows."""

    file_key: FileKey
    task_id: Id | None = None
    evidence_type: EvidenceMoment | None = None
    taken_at: (
        Annotated[
            datetime,
            Meta(
                tz=True,
                description="when it was taken: RFC 3339 with an offset",
                examples=["2026-11-22T18:39:44+01:00"],
            ),
        ]
        | None
    ) = None

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life."""
        return day_problems(takenAt=self.taken_at and self.taken_at.date())


class PhotoQuery(Page, frozen=True):
    """Which photos."""

    task_id: Id | None = None


class UploadAllowed(Output):
    """Where to PUT the file, with exactly these headers, before ``expiresIn`` seconds are over."""

    upload_url: str
    file_key: FileKey
    headers: Annotated[
        dict[str, str],
        Meta(description="Signed: another type or length is refused. Browsers set the length."),
    ]
    expires_in: Annotated[int, Meta(description="Seconds.")]


class PhotoConfirmed(Output):
    """A photo that is kept, without its metadata."""

    photo_id: Id
    download_url: DownloadUrl


class Photo(Output):
    """One photo. Its size is that of the file without metadata."""

    id: Id
    task_id: Id | None
    evidence_type: EvidenceMoment | None
    file_name: FileName
    content_type: ContentType
    file_size: int
    taken_at: Timestamp | None
    created_at: Timestamp
    download_url: DownloadUrl


class Photos(Output):
    """A page of photos, the newest first."""

    photos: list[Photo]
    pagination: Pagination
