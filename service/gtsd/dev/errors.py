"""What may go wrong on a developer's machine, said in one sentence."""

from __future__ import annotations


class DevError(Exception):
    """A server cannot be started; the text is one sentence that says what to do about it."""
