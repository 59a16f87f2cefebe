"""What the provider sends to us."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class InboundSms(
    Struct, frozen=True, rename={"from_": "From", "body": "Body", "opt_out_type": "OptOutType"}
):
    """A text message that came in, as Twilio tells it; it has further fields, now and later.

    https://www.twilio.com/docs/messaging/guides/webhook-request
    """

    from_: Annotated[str, Meta(max_length=64, examples=["+15005550009"])]
    body: Annotated[str, Meta(max_length=4096, examples=["STOP"])] = ""
    opt_out_type: Annotated[
        str | None, Meta(description="Given where Twilio has understood and answered it already.")
    ] = None
