"""What is in the file."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gtsd.export.parts import PARTS
from gtsd.web.fields import Output

Rows = list[dict[str, Any]]

# A field for each part, so that the document names them all.
Export: Final = msgspec.defstruct(
    "Export", [(part.name, Rows) for part in PARTS], bases=(Output,), kw_only=True
)
