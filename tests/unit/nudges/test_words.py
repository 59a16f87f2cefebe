"""What is understood of a message, and that ours are short."""

from __future__ import annotations

import pytest

from gtsd.nudges.words import Wish, nudge, reply_to, wish_of

STOP = ["STOP", "stopall", "Unsubscribe", "CANCEL", "end", "QUIT", " stop\n", "Stop.", '"STOP"']
START = ["START", "yes", "UnStop", "Yes!"]
HELP = ["HELP", "info", "help?"]


@pytest.mark.parametrize("text", STOP)
def test_all_words_for_stop_are_understood(text: str) -> None:
    """In any case, with a mark or a blank around them."""
    assert wish_of(text) is Wish.STOP


@pytest.mark.parametrize("text", START)
def test_all_words_for_start_are_understood(text: str) -> None:
    """The same."""
    assert wish_of(text) is Wish.START


@pytest.mark.parametrize("text", HELP)
def test_all_words_for_help_are_understood(text: str) -> None:
    """The same."""
    assert wish_of(text) is Wish.HELP


@pytest.mark.parametrize("text", ["", "hello", "please stop by at the end", "STOPP", "no", "1"])
def test_other_messages_change_nothing(text: str) -> None:
    """A word inside a sentence may mean anything."""
    assert wish_of(text) is None


def test_every_message_is_one_message() -> None:
    """At most 160 characters of the basic alphabet; each nudge says how it is ended."""
    nudges = [nudge("morning", 1), nudge("morning", 12), nudge("evening", 1), nudge("evening", 99)]
    assert nudges[0] == ("GTSD: 1 task is waiting for you today. Reply STOP to end these messages.")
    assert all("STOP" in text for text in nudges)
    for text in [*nudges, *map(reply_to, Wish)]:
        assert len(text) <= 160
        assert text.isascii()
