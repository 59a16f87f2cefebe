"""What text messages say, and what is understood of those that come in."""

from __future__ import annotations

from enum import Enum
from typing import Final

from gtsd.nudges.schedule import NudgeKind

# The words that carriers want to be understood (CTIA, Messaging Principles, 5.1.3).
_WORDS: Final = {
    "stop": "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT",
    "start": "START YES UNSTOP",
    "help": "HELP INFO",
}


class Wish(Enum):
    """What the sender of a message wants."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_WISHES: Final = {word: Wish(wish) for wish, words in _WORDS.items() for word in words.split()}
_REPLIES: Final = {
    Wish.STOP: "GTSD: you will get no more messages. Reply START to get them again.",
    Wish.START: "GTSD: reminders are on again. Reply STOP to end them, HELP for help.",
    Wish.HELP: "GTSD reminds you of your tasks, twice a day at most. Reply STOP to end it.",
}


def wish_of(text: str) -> Wish | None:
    """A message that is one of the words and nothing else; case and marks do not count."""
    return _WISHES.get(text.strip(" \t\r\n.!?\"'").upper())


def reply_to(wish: Wish) -> str:
    """One message of at most 160 characters."""
    return _REPLIES[wish]


def nudge(kind: NudgeKind, tasks: int) -> str:
    """The reminder of so many tasks that are still to be done; one message."""
    what = "1 task is" if tasks == 1 else f"{tasks} tasks are"
    when = "waiting for you today" if kind == "morning" else "still open today"
    return f"GTSD: {what} {when}. Reply STOP to end these messages."
