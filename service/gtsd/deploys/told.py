"""What a command has to say."""

from __future__ import annotations

from typing import Any, NamedTuple


class Told(NamedTuple):
    """``facts`` fit into JSON; ``text`` says the same to people."""

    facts: dict[str, Any]
    text: str
