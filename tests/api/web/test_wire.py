"""Requests as they come over the wire: malformed, too large, too slow, half sent."""

from __future__ import annotations

import asyncio
import time

import pytest

from gtsd.telemetry.metrics import UNMATCHED
from tests.api.conftest import Running, Start
from tests.api.web.conftest import Dial
from tests.api.web.wires import Raw, Wire

LIMIT = 102_400
HOST = b"Host: gtsd\r\n"


def _post(*headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST /auth/login HTTP/1.1\r\n" + HOST + lines + b"\r\n"


def _check_envelope(answer: Raw, status: int, code: str) -> None:
    assert answer.status == status
    assert set(answer.error) == {"code", "message", "requestId"}
    assert answer.error["code"] == code
    assert answer.headers["x-request-id"] == answer.error["requestId"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/3.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Thing: a\x01b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n folded: line\r\n\r\n",
        _post(b"Content-Length: ten"),
        _post(b"Content-Length: -1"),
        _post(b"Content-Length: 3, 4"),
        _post(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        _post(b"Transfer-Encoding: gzip"),
        _post(b"Transfer-Encoding: chunked") + b"zz\r\n",
        _post(b"Transfer-Encoding: chunked") + b"1\r\nab\r\n",
    ],
)
async def test_what_is_no_http_is_refused_like_all_else_and_the_connection_ends(
    service: Running, dial: Dial, sent: bytes
) -> None:
    """One shape for this too; after it nothing could be told apart from the next request."""
    wire = await dial(service)
    await wire.send(sent)
    answer = await wire.answer()
    _check_envelope(answer, 400, "malformed_request")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()
    counted = service.deps.metrics.http_requests.labels("other", UNMATCHED, "400")
    assert counted._value.get() == 1


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    service: Running, dial: Dial
) -> None:
    """Headers alone bring the answer (fault 17)."""
    wire = await dial(service)
    await wire.send(_post(b"Content-Length: %d" % (LIMIT + 1)))
    _check_envelope(await wire.answer(), 413, "payload_too_large")


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(
    service: Running, dial: Dial
) -> None:
    """It never says how long it will be."""
    wire = await dial(service)
    await wire.send(_post(b"Transfer-Encoding: chunked"))
    await wire.send(b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT))
    assert not await wire.is_closed(0.05)
    # Enough for Tornado to pass it on; the end of the body is not needed.
    await wire.send(b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT))
    _check_envelope(await wire.answer(), 413, "payload_too_large")


async def test_a_client_that_is_still_sending_can_read_the_refusal(
    service: Running, dial: Dial
) -> None:
    """Closing at once would reset the connection under it, and the answer would be lost."""
    wire = await dial(service)
    size = 4 * 1024 * 1024
    await wire.send(_post(b"Content-Length: %d" % size) + b"x" * 1024)
    # Until the server must have answered, and more than all buffers between us hold.
    for _ in range(size // 65_536 - 1):
        await wire.send(b"x" * 65_536)
    await wire.send(b"x" * (65_536 - 1024))
    answer = await wire.answer()
    _check_envelope(answer, 413, "payload_too_large")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


@pytest.mark.parametrize(
    "sent",
    [
        _post(b"Content-Length: 99999999999999999999999999"),
        _post(b"Transfer-Encoding: chunked")
        + b"%x\r\n%b\r\n" % (2 * LIMIT, b"x" * 2 * LIMIT)
        + b"junk\r\n\r\n",
    ],
)
async def test_a_request_gets_one_answer_whatever_follows(
    service: Running, dial: Dial, sent: bytes
) -> None:
    """A length beyond all numbers, or chunks that break off into junk, brought a second one."""
    wire = await dial(service)
    await wire.send(sent)
    _check_envelope(await wire.answer(), 413, "payload_too_large")
    assert await wire.is_closed()


@pytest.mark.parametrize(
    ("hosts", "status"), [((), 400), ((b"a", b"b"), 400), ((b"a",), 200), ((b"",), 200)]
)
async def test_a_request_names_one_host(
    service: Running, dial: Dial, hosts: tuple[bytes, ...], status: int
) -> None:
    """As RFC 9112 wants it of HTTP/1.1; an older client may leave it out."""
    lines = b"".join(b"Host: %b\r\n" % host for host in hosts)
    wire = await dial(service)
    await wire.send(b"GET /healthz HTTP/1.1\r\n" + lines + b"\r\n")
    answer = await wire.answer()
    assert answer.status == status
    if status == 400:
        _check_envelope(answer, 400, "malformed_request")
    old = await dial(service)
    await old.send(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (await old.answer()).status == 200


@pytest.mark.parametrize(("coding", "status"), [(b"gzip", 415), (b"identity", 400), (b"", 415)])
async def test_a_body_in_another_coding_is_refused(
    service: Running, dial: Dial, coding: bytes, status: int
) -> None:
    """It was read as if it were plain, and the client told that its JSON was broken."""
    wire = await dial(service)
    headers = (b"Content-Type: application/json", b"Content-Length: 2")
    await wire.send(_post(b"Content-Encoding: " + coding, *headers) + b"{}")
    assert (await wire.answer()).status == status


@pytest.mark.parametrize(
    "sent",
    [
        _post(b"Content-Length: 3_3"),
        _post(b"Content-Length: +33"),
        _post(b"Content-Length: 0x21"),
        _post(b"Content-Length: 3", b"Content-Length: 33"),
        _post(b"Transfer-Encoding: chunked, identity"),
        _post(b"Transfer-Encoding: xchunked"),
        _post(b"Transfer-Encoding: \x0bchunked"),
        _post(b"Transfer-Encoding:\r\n chunked"),
        _post(b"Transfer-Encoding : chunked"),
        _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        _post(b"Transfer-Encoding: chunked", b"Content-Length: 3"),
        _post(b"Transfer-Encoding: chunked") + b"2_1\r\n",
        _post(b"Transfer-Encoding: chunked") + b"0x21\r\n",
        _post(b"Transfer-Encoding: chunked") + b"+21\r\n",
        _post(b"Transfer-Encoding: chunked") + b"0\r\nX-User-Id: 1\r\n\r\n",
    ],
)
async def test_a_request_whose_end_proxies_could_see_elsewhere_is_refused(
    service: Running, dial: Dial, sent: bytes
) -> None:
    """What comes behind it is never taken for another request."""
    wire = await dial(service)
    await wire.send(sent + b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    _check_envelope(await wire.answer(), 400, "malformed_request")
    assert await wire.is_closed()


async def test_a_client_that_asks_first_is_refused_without_sending(
    service: Running, dial: Dial
) -> None:
    """``Expect: 100-continue`` is for exactly this."""
    wire = await dial(service)
    await wire.send(_post(b"Content-Length: %d" % (LIMIT + 1), b"Expect: 100-continue"))
    answer = await wire.answer()
    _check_envelope(answer, 413, "payload_too_large")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


async def test_a_body_of_exactly_the_limit_is_read(service: Running, dial: Dial) -> None:
    """The control: it is refused for what it holds, and the connection stays."""
    wire = await dial(service)
    length = b"Content-Length: %d" % LIMIT
    await wire.send(_post(length, b"Content-Type: application/json") + b"x" * LIMIT)
    _check_envelope(await wire.answer(), 400, "invalid_json")
    await wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await wire.answer()).status == 200


async def _closes_after(wire: Wire) -> float:
    began = time.monotonic()
    assert await wire.is_closed()
    return time.monotonic() - began


async def test_clients_that_send_too_slowly_are_cut_off(start: Start, dial: Dial) -> None:
    """Headers that never end, bodies that never come, and connections that nobody uses."""
    service = await start(keepalive_timeout=0.4, body_timeout=0.4)
    unfinished, bodiless, idle, refused = [await dial(service) for _ in range(4)]
    await unfinished.send(b"GET /healthz HTTP/1.1\r\n" + HOST)
    await bodiless.send(_post(b"Content-Length: 10") + b"12345")
    await idle.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await idle.answer()).status == 200
    await refused.send(_post(b"Content-Length: %d" % (LIMIT + 1)))
    assert (await refused.answer()).status == 413
    waits = await asyncio.gather(*map(_closes_after, (unfinished, bodiless, idle, refused)))
    assert all(0.2 < wait < 10 for wait in waits), waits
    # The control: with a slow answer instead of a slow client nothing is cut off.
    assert service.deps.life.in_flight == 0


async def test_a_client_that_keeps_dripping_is_cut_off_as_well(start: Start, dial: Dial) -> None:
    """The time is for all headers together, not for each byte."""
    service = await start(keepalive_timeout=0.4)
    wire = await dial(service)
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() - began < 20:
            await wire.send(b"X")
            await asyncio.sleep(0.05)
    assert time.monotonic() - began < 10


async def test_head_is_answered_like_get_without_the_body(service: Running, dial: Dial) -> None:
    """The length is that of GET's body, and the next answer follows at once."""
    wire = await dial(service)
    for method in (b"HEAD", b"GET"):
        await wire.send(method + b" /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n")
    head = await wire.answer(to_head=True)
    get = await wire.answer()
    assert (head.status, get.status) == (200, 200)
    assert int(head.headers["content-length"]) == len(get.body) > 1000
    assert head.headers.keys() == get.headers.keys()
    for name in ("content-type", "content-security-policy", "etag", "cache-control"):
        assert head.headers[name] == get.headers[name]
