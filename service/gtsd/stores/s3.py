"""The bucket that holds photos, in any store that speaks S3.

boto3 blocks, so each call runs on one of a few threads. How long a call may take is decided on the
event loop: a thread that still waits when the time is up ends by its own timeouts, and nobody waits
for it. The key needs ``s3:ListBucket`` too: without it Amazon says "forbidden" of what is missing.

The trace is not passed on: the store belongs to somebody else, whom our ids do not concern.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from loguru import logger

from gtsd import deadline
from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores.s3_types import (
    Download,
    ObjectInfo,
    ObjectMissing,
    ObjectStoreNotConfigured,
    Upload,
)
from gtsd.telemetry import tracing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from gtsd.settings import Settings
    from gtsd.telemetry.metrics import Metrics

__all__ = [
    "Download",
    "ObjectInfo",
    "ObjectMissing",
    "ObjectStore",
    "ObjectStoreNotConfigured",
    "Upload",
]

T = TypeVar("T")

# For calls outside of requests; within one, its deadline counts if that is nearer.
_CALL_S: Final = 10.0
_CLOSE_S: Final = 5.0
_PAGE: Final = 1000
# How long an answer of the store proves that it is there, and a failure that it is not.
_TRUST_S: Final = 5.0
_DOUBT_S: Final = 1.0
_ASK_S: Final = 2.0


class ObjectStore:
    """One bucket.

    What talks to it raises DependencyUnavailable("object_store") when that fails or is not answered
    in time, DeadlineExceeded when no time was left to begin, and ObjectStoreNotConfigured.
    """

    def __init__(
        self, bucket: str, client: S3Client | None = None, threads: ThreadPoolExecutor | None = None
    ) -> None:
        self._bucket = bucket
        self._client = client
        self._threads = threads
        self._calls: set[asyncio.Future[Any]] = set()
        self._answered = self._failed = -_TRUST_S
        self._asking = asyncio.Lock()

    @classmethod
    async def open(cls, settings: Settings, _metrics: Metrics) -> ObjectStore:
        """Talks to nobody yet. It takes what all stores are opened with, and measures nothing."""
        if settings.s3_endpoint is None or settings.s3_bucket is None:
            return cls("")
        threads = ThreadPoolExecutor(settings.s3_concurrency, "gtsd-s3")
        loop = asyncio.get_running_loop()
        client = await loop.run_in_executor(threads, _connect, settings)
        return cls(settings.s3_bucket, client, threads)

    @property
    def configured(self) -> bool:
        """Whether there is a store to be used at all."""
        return self._client is not None

    async def close(self) -> None:
        """Give calls under way a few seconds to end; those that wait for a thread are dropped."""
        if self._threads is None or self._client is None:
            return
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._calls:
            _, unfinished = await asyncio.wait(self._calls, timeout=_CLOSE_S)
            if unfinished:
                logger.warning("Calls to the object store do not end, going on without them")
        self._client.close()

    async def ping(self, within: float) -> bool:
        """Whether the bucket is there and answers within so many seconds."""
        with deadline.within(within):
            try:
                await self._call("HeadBucket", lambda s3: s3.head_bucket(Bucket=self._bucket))
            except (
                DependencyUnavailable,
                DeadlineExceeded,
                ObjectMissing,
                ObjectStoreNotConfigured,
            ):
                return False
        return True

    async def require(self) -> None:
        """Raise DependencyUnavailable unless the store is there, as was seen a moment ago.

        For what needs nothing of the store itself, but is of no use without it. However many ask,
        a store that does not answer costs one thread at a time.
        """
        async with self._asking:
            if time.monotonic() - self._answered < _TRUST_S:
                return
            if time.monotonic() - self._failed >= _DOUBT_S:
                if await self.ping(_ASK_S):
                    self._answered = time.monotonic()
                    return
                self._failed = time.monotonic()
            raise DependencyUnavailable("object_store")

    async def ensure_bucket(self) -> None:
        """Create the bucket if it is missing; for development, since production has it made."""
        try:
            await self._call("HeadBucket", lambda s3: s3.head_bucket(Bucket=self._bucket))
        except ObjectMissing:
            await self._call("CreateBucket", lambda s3: s3.create_bucket(Bucket=self._bucket))

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Write an object, in place of one of the same key."""
        await self._call(
            "PutObject",
            lambda s3: s3.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType=content_type
            ),
        )

    async def get(self, key: str, limit: int | None = None) -> bytes:
        """The content, or its first ``limit`` bytes; raises ``ObjectMissing``."""

        def read(s3: S3Client) -> bytes:
            # Not a range, which no store can give of an empty object. What is not read of a long
            # one is not fetched either: closing ends the connection.
            with s3.get_object(Bucket=self._bucket, Key=key)["Body"] as body:
                return body.read(limit)

        return await self._call("GetObject", read)

    async def head(self, key: str) -> ObjectInfo:
        """Size, type and age of an object; raises ``ObjectMissing``."""
        found = await self._call(
            "HeadObject", lambda s3: s3.head_object(Bucket=self._bucket, Key=key)
        )
        return ObjectInfo(
            key,
            found["ContentLength"],
            found["ETag"].strip('"'),
            found["LastModified"],
            found.get("ContentType"),
        )

    async def delete(self, key: str) -> None:
        """Delete an object; one that is missing is no error."""
        await self._call("DeleteObject", lambda s3: s3.delete_object(Bucket=self._bucket, Key=key))

    async def rewrite(
        self, source: str, target: str, limit: int, change: Callable[[bytes], bytes], kind: str
    ) -> int:
        """Write what ``change`` makes of an object under another key, with a content type.

        ``change`` is given at most ``limit`` bytes, and what it raises is raised; gives the size
        of the new object. One thread does all of it, so that no more contents are in memory than
        calls are allowed at a time. Raises ``ObjectMissing``.
        """

        def work(s3: S3Client) -> int:
            with s3.get_object(Bucket=self._bucket, Key=source)["Body"] as body:
                changed = change(body.read(limit))
            s3.put_object(Bucket=self._bucket, Key=target, Body=changed, ContentType=kind)
            return len(changed)

        return await self._call("Rewrite", work)

    async def list(self, prefix: str, limit: int = _PAGE, after: str = "") -> Sequence[ObjectInfo]:
        """At most ``limit`` objects whose keys begin so and come after one, in order of keys."""

        def read(s3: S3Client) -> Sequence[ObjectInfo]:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket,
                Prefix=prefix,
                StartAfter=after,
                PaginationConfig={"MaxItems": limit, "PageSize": min(limit, _PAGE)},
            )
            return [
                ObjectInfo(one["Key"], one["Size"], one["ETag"].strip('"'), one["LastModified"])
                for page in pages
                for one in page.get("Contents", ())
            ]

        return await self._call("ListObjectsV2", read)

    async def presign_put(self, key: str, content_type: str, size: int, expires: int) -> Upload:
        """Leave to upload exactly so many bytes of this type, for ``expires`` seconds."""
        wanted = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentType": content_type,
            "ContentLength": size,
        }
        url = self._ready().generate_presigned_url("put_object", wanted, expires)
        return Upload(url, {"Content-Type": content_type, "Content-Length": str(size)})

    async def presign_get(self, key: str, expires: int) -> str:
        """A URL that gives the object to whoever has it, for so many seconds."""
        wanted = {"Bucket": self._bucket, "Key": key}
        return self._ready().generate_presigned_url("get_object", wanted, expires)

    async def presign_downloads(self, downloads: Sequence[Download], expires: int) -> Sequence[str]:
        """As ``presign_get``, for many, and with the type, the name and no leave to keep a copy.

        On a thread: each takes a fifth of a millisecond. As an attachment a file is never shown in
        place of a page, and yet in one.
        """

        def sign(s3: S3Client) -> Sequence[str]:
            return [
                s3.generate_presigned_url(
                    "get_object",
                    {
                        "Bucket": self._bucket,
                        "Key": one.key,
                        "ResponseContentType": one.content_type,
                        "ResponseContentDisposition": f'attachment; filename="{one.file_name}"',
                        "ResponseCacheControl": "private, no-store",
                    },
                    expires,
                )
                for one in downloads
            ]

        return await self._call("Presign", sign)

    def _ready(self) -> S3Client:
        if self._client is None:
            raise ObjectStoreNotConfigured
        return self._client

    async def _call(self, operation: str, work: Callable[[S3Client], T]) -> T:
        client = self._ready()
        left = deadline.remaining()
        if left is not None and left <= 0:
            raise DeadlineExceeded
        with tracing.span(
            f"s3 {operation}",
            tracing.CLIENT,
            {"rpc.system.name": "aws-api", "rpc.method": f"S3/{operation}"},
        ):
            return await self._wait(operation, work, client, min(left or _CALL_S, _CALL_S))

    async def _wait(
        self, operation: str, work: Callable[[S3Client], T], client: S3Client, allowed: float
    ) -> T:
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._threads, _perform, operation, work, client)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            async with asyncio.timeout(allowed):
                return await call
        except TimeoutError:
            logger.warning("The object store did not answer {} in {:.1f} s", operation, allowed)
            raise DependencyUnavailable("object_store") from None


def _connect(settings: Settings) -> S3Client:
    # On a thread: boto3 takes half a second to import, and is not needed by all commands.
    from gtsd.stores import s3_client

    return s3_client.connect(settings)


def _perform(operation: str, work: Callable[[S3Client], T], client: S3Client) -> T:
    from gtsd.stores import s3_client

    return s3_client.perform(operation, work, client)
