"""A drill that is told to stop does so, also while a server takes its time."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from psycopg2 import extensions

from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.reading import reading
from gtsd.drill.signals import stopping, undisturbed


def test_a_long_statement_does_not_keep_a_signal_from_being_heard(database_url: str) -> None:
    """Tables may be large, and systemd does not wait for ever before it kills."""
    began = time.monotonic()
    clock = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    clock.start()
    heard = pytest.raises(DrillError, match="SIGTERM")
    with heard as caught, stopping(), reading(database_url) as reader:
        reader.rows("SELECT pg_sleep(30)")
    clock.join()
    assert caught.value.cause is Cause.STOPPED
    assert time.monotonic() - began < 10
    assert extensions.get_wait_callback() is None


def test_clearing_up_is_not_disturbed() -> None:
    """The signal is heard afterwards; a second one is not."""
    done = []
    with pytest.raises(DrillError, match="SIGINT"), stopping():
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("cleared up")
        done.append("went on")
    assert done == ["cleared up"]
    with pytest.raises(DrillError, match="SIGTERM"), stopping():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
