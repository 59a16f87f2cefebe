"""GOAWAY, as the outside client reads it."""

from __future__ import annotations

import httpcore2
import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame

from probe.orderly import OrderlyStream

ANSWER = DataFrame(5, data=b"answer").serialize()


def goaway(last: int, error: int = 0) -> bytes:
    """A frame of leave."""
    frame: Frame = GoAwayFrame(last_stream_id=last, error_code=error)
    return bytes(frame.serialize())


def stream(*pieces: bytes) -> OrderlyStream:
    """A connection on which these come in, and the request of stream 5 is out."""
    found = OrderlyStream(httpcore2.AsyncMockStream(list(pieces)))
    found.current = 5
    return found


async def everything(of: OrderlyStream) -> bytes:
    """What the library gets to see."""
    read = b""
    while data := await of.read(65536):
        read += data
    return read


@pytest.mark.parametrize("last", [5, 7, 2**31 - 1])
async def test_a_leave_after_the_request_lets_it_be_answered(last: int) -> None:
    """The answer comes through, before and after; the connection is not used again."""
    ping = PingFrame(opaque_data=b"12345678").serialize()
    leaving = stream(ping + goaway(last) + ANSWER)
    assert await everything(leaving) == ping + ANSWER
    assert leaving.leaving


async def test_frames_come_in_any_pieces() -> None:
    """TLS and the network cut them where they like."""
    whole = ANSWER + goaway(5) + ANSWER
    leaving = stream(*(whole[at : at + 1] for at in range(len(whole))))
    assert await everything(leaving) == ANSWER + ANSWER
    assert leaving.leaving


async def test_a_request_that_was_not_begun_may_go_elsewhere() -> None:
    """The server says so: that is the one case in which a request is sent on."""
    with pytest.raises(httpcore2.ConnectionNotAvailable):
        await everything(stream(goaway(3)))


async def test_a_leave_with_an_error_is_none() -> None:
    """The library sees it, and the request fails."""
    broken = stream(goaway(5, error=2) + ANSWER)
    assert await everything(broken) == goaway(5, error=2) + ANSWER
    assert not broken.leaving
