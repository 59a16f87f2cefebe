"""boto3 and its errors. Imported on a thread when the store is opened: that takes a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as failures
from botocore.config import Config
from loguru import logger

from gtsd.errors import DependencyUnavailable
from gtsd.stores.s3_types import ObjectMissing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from gtsd.settings import Settings

T = TypeVar("T")

_CONNECT_S: Final = 2.0
_READ_S: Final = 5.0

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})


def connect(settings: Settings) -> S3Client:
    """A client for the store that the settings name; nothing is sent yet."""
    endpoint = settings.s3_endpoint or ""
    host = urlsplit(endpoint).hostname or ""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        config=Config(
            signature_version="s3v4",
            # Only Amazon has a name and a certificate for each bucket.
            s3={"addressing_style": "virtual" if host.endswith(".amazonaws.com") else "path"},
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=settings.s3_concurrency,
            # Other stores than Amazon's do not know the checksums that are sent otherwise.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    # The first signature reads the rules for endpoints, which must not happen on the event loop.
    client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
    return client


def perform(operation: str, work: Callable[[S3Client], T], client: S3Client) -> T:
    """Do it, and raise our errors instead of botocore's.

    What is logged of them is their kind: their texts name URLs with keys in them.
    """
    try:
        return work(client)
    except failures.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in _MISSING:
            raise ObjectMissing from error
        reason = code
    except failures.ParamValidationError:
        raise  # a fault of ours
    except (failures.BotoCoreError, failures.HTTPClientError) as error:
        reason = type(error).__name__
    logger.warning("The object store failed at {}: {}", operation, reason)
    raise DependencyUnavailable("object_store")
