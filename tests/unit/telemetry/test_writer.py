"""Lines on their way out: in batches, in order, and never at the expense of who logs."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable

import pytest
from loguru import logger

from gtsd.telemetry import writer
from gtsd.telemetry.log import configure
from gtsd.telemetry.writer import Writer
from tests.unit.telemetry.conftest import Capture, MakeSettings

BOUND_S = 10.0


def _notice(lost: int) -> bytes:
    return b"lost %d\n" % lost


def _until(true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + BOUND_S
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.005)
    return True


def _small_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, writing


def _read_all(fd: int) -> bytes:
    data = b""
    while piece := os.read(fd, 65_536):
        data += piece
    return data


def test_lines_come_out_whole_and_in_order() -> None:
    """From several threads, each thread's in the order in which it wrote them."""
    reading, writing = os.pipe()
    lines = Writer(writing, _notice)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(_read_all(reading)))
    reader.start()

    def write(name: int) -> None:
        for number in range(1_000):
            lines.write(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.close(BOUND_S)
    os.close(writing)
    reader.join()
    os.close(reading)
    pairs = [tuple(map(int, line.split())) for line in received[0].splitlines()]
    for name in range(3):
        assert [number for who, number in pairs if who == name] == list(range(1_000))


def test_many_lines_are_few_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call a batch, not a line."""
    reading, writing = os.pipe()
    calls: list[int] = []
    write = os.write

    def counted(fd: int, data: bytes) -> int:
        if fd == writing:
            calls.append(len(data))
        return write(fd, data)

    monkeypatch.setattr("gtsd.telemetry.writer.os.write", counted)
    lines = Writer(writing, _notice)
    for _ in range(1_000):
        lines.write(b"x\n")
    assert lines.close(BOUND_S)
    assert sum(calls) == 2_000
    assert len(calls) <= 1_000 / 20
    os.close(reading)
    os.close(writing)


def test_an_urgent_line_does_not_wait_for_its_batch(
    monkeypatch: pytest.MonkeyPatch, capture: Capture
) -> None:
    """An error is out at once, and takes along what came before; a normal line waits."""
    monkeypatch.setattr(writer, "INTERVAL_S", 3600.0)
    captured = capture()
    logger.info("waits")
    time.sleep(0.1)
    assert captured.so_far() == b""
    logger.error("urgent")
    assert _until(lambda: b"urgent" in captured.so_far())
    assert b"waits" in captured.so_far()


def test_lines_that_keep_coming_wake_the_thread_once_an_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many they are; whoever logs would pay for each time."""
    drained: list[int] = []
    drain = Writer._drain

    def counted(self: Writer) -> None:
        drained.append(len(self._lines))
        drain(self)

    monkeypatch.setattr(Writer, "_drain", counted)
    reading, writing = os.pipe()
    lines = Writer(writing, _notice)
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        lines.write(b"x\n")
        time.sleep(0.001)
    assert lines.close(BOUND_S)
    # The control: some have to be.
    assert 2 <= len([count for count in drained if count]) <= 1 / writer.INTERVAL_S + 2
    os.close(reading)
    os.close(writing)


def test_a_record_becomes_a_line_in_its_place() -> None:
    """Among lines that were made before."""
    reading, writing = os.pipe()
    lines = Writer(writing, _notice, lambda record: b"%d\n" % record)
    for line in (b"one\n", 2, b"three\n", 4):
        lines.write(line)
    assert lines.close(BOUND_S)
    os.close(writing)
    assert _read_all(reading) == b"one\n2\nthree\n4\n"
    os.close(reading)


def test_a_reader_that_went_away_is_survived(make_settings: MakeSettings) -> None:
    """EPIPE on standard output costs the lines, and neither an exception nor time."""
    reading, writing = os.pipe()
    running = configure(make_settings(), writing)
    os.close(reading)
    began = time.monotonic()
    for _ in range(500):
        logger.error("said")
    assert _until(lambda: running.lost == 500)
    assert running.close()
    assert time.monotonic() - began < BOUND_S
    with pytest.raises(BrokenPipeError):  # the control: the pipe is broken for whoever writes
        os.write(writing, b"x")
    os.close(writing)


def test_a_reader_that_stands_still_costs_nobody_time(make_settings: MakeSettings) -> None:
    """Lines are dropped once the queue is full, and counted; the count is told afterwards."""
    reading, writing = _small_pipe()
    running = configure(make_settings(), writing)
    total = writer.CAPACITY_LINES + 2_000
    began = time.monotonic()
    for number in range(total):
        logger.info(number)
    assert time.monotonic() - began < 20
    assert running.lost > 0
    # The control: a plain write to this descriptor never comes back.
    stuck = threading.Thread(target=_write_plainly, args=(writing,), daemon=True)
    stuck.start()
    stuck.join(0.3)
    assert stuck.is_alive()
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(_read_all(reading)))
    reader.start()
    assert _until(lambda: running.lost == 0)
    assert running.close(BOUND_S)
    stuck.join()
    os.close(writing)
    reader.join()
    os.close(reading)
    got = received[0].replace(b"\0", b"").decode().splitlines()
    told = [line for line in got if '"msg":"log lines were lost"' in line]
    lost = sum(int(line.rpartition('"lost":')[2].rstrip("}")) for line in told)
    assert len(got) - len(told) + lost == total


def _write_plainly(fd: int) -> None:
    os.write(fd, b"\0" * 8192)


def test_a_stop_does_not_wait_for_a_reader_that_stands_still(make_settings: MakeSettings) -> None:
    """The bound of close holds, and it says that lines were given up."""
    reading, writing = _small_pipe()
    running = configure(make_settings(), writing)
    for number in range(1_000):
        logger.error(number)
    began = time.monotonic()
    assert not running.close(0.2)
    assert time.monotonic() - began < 5
    os.close(reading)  # lets the thread end with EPIPE
    assert running.close(BOUND_S)
    os.close(writing)


def test_a_descriptor_that_does_not_block_gets_whole_lines(make_settings: MakeSettings) -> None:
    """Another process may have made standard output non-blocking: partial writes are continued."""
    reading, writing = _small_pipe()
    os.set_blocking(writing, False)
    running = configure(make_settings(), writing)
    for number in range(500):
        logger.info(number)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(_read_all(reading)))
    reader.start()
    assert _until(lambda: received == [] and running.close(BOUND_S))
    os.close(writing)
    reader.join()
    os.close(reading)
    got = received[0].splitlines()
    assert len(got) == 500
    assert all(line.endswith(b"}") for line in got)


def test_a_descriptor_that_does_not_block_cannot_hold_a_stop(make_settings: MakeSettings) -> None:
    """Nobody reads, and close is called: the lines are given up."""
    reading, writing = _small_pipe()
    os.set_blocking(writing, False)
    running = configure(make_settings(), writing)
    for number in range(500):
        logger.error(number)
    assert _until(lambda: running.close(2))
    assert running.lost > 0
    os.close(reading)
    os.close(writing)


def test_a_full_disk_is_survived_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that the disk did not take are counted in the first line after it has room again."""
    reading, writing = os.pipe()
    write = os.write
    full = threading.Event()
    full.set()

    def maybe(fd: int, data: bytes) -> int:
        if fd == writing and full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr("gtsd.telemetry.writer.os.write", maybe)
    lines = Writer(writing, _notice)
    lines.write(b"one\n", urgent=True)
    assert _until(lambda: lines.lost == 1)
    full.clear()
    lines.write(b"two\n")
    assert lines.close(BOUND_S)
    assert lines.lost == 0
    os.close(writing)
    assert _read_all(reading) == b"two\nlost 1\n"
    os.close(reading)
