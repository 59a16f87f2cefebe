"""What waits in the queue can be read by nobody who has only the queue."""

from __future__ import annotations

import base64

import pytest

from gtsd.mails.seal import Seal, SealBroken
from gtsd.mails.types import Letter

NOW, BEFORE, OTHER = "n" * 40, "b" * 40, "o" * 40
LETTER = Letter(id="1", kind="reset_password", to="ada@example.com", name="Ada", values={"t": "s"})


def test_what_was_sealed_is_opened() -> None:
    """By this process and by every other one with the same secret."""
    assert Seal(NOW).open(Seal(NOW).close(LETTER), Letter) == LETTER


def test_nothing_of_it_can_be_read() -> None:
    """Neither as it is nor decoded; and no two seals of one letter look alike."""
    sealed = Seal(NOW).close(LETTER)
    assert sealed != Seal(NOW).close(LETTER)
    for seen in (sealed.encode(), base64.urlsafe_b64decode(sealed)):
        assert b"ada" not in seen
        assert b"reset" not in seen


def test_the_previous_secret_still_opens() -> None:
    """Jobs outlive the rotation of the signing secret; what is new is closed with the new one."""
    rotated = Seal(NOW, BEFORE)
    assert rotated.open(Seal(BEFORE).close(LETTER), Letter) == LETTER
    assert Seal(NOW).open(rotated.close(LETTER), Letter) == LETTER


@pytest.mark.parametrize("spoil", [lambda s: s[:-6] + "AAAAA=", lambda _: "", lambda _: "é"])
def test_what_was_changed_does_not_open(spoil: object) -> None:
    """Nobody who can write to the queue can have a mail sent."""
    assert callable(spoil)
    sealed = spoil(Seal(NOW).close(LETTER))
    with pytest.raises(SealBroken):
        Seal(NOW).open(sealed, Letter)


def test_another_secret_does_not_open() -> None:
    """And says so without a word of what is inside."""
    with pytest.raises(SealBroken) as caught:
        Seal(OTHER, BEFORE).open(Seal(NOW).close(LETTER), Letter)
    assert "ada" not in str(caught.value)
