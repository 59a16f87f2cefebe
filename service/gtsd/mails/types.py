"""What a mail is made from."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

MailKind = Literal["verify_email", "reset_password", "new_sign_in"]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One mail to one person, before it is worded.

    ``id`` makes the Message-ID, so that a mail which was sent twice can be recognised. ``name`` is
    empty for an address that nobody has verified: a stranger may have chosen the name. ``values``
    are for the template of the kind.
    """

    id: str
    kind: MailKind
    to: str
    name: str
    values: dict[str, str]
    good_until: datetime | None = None
