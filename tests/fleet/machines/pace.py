"""How quick this machine is now: a bar in seconds stands for work, and shared processors vary."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import cpu_count
from statistics import median

# CPU seconds that the work below takes on a machine on which the bars were promised, with each
# core at it: most of a playbook is Python, too.
REFERENCE_S = 0.70
_ROUNDS = 5
_WORK = """
import time
began = time.process_time()
total = 0
for number in range(10_000_000):
    total += number
print(time.process_time() - began)
"""


@dataclass
class Span:
    """How long something took, and by how much slower than the reference the machine was."""

    seconds: float = 0.0
    slowness: float = 1.0


@contextmanager
def timed() -> Iterator[Span]:
    """Of what is enclosed, complete at its end."""
    span, before, began = Span(), slowness(), time.monotonic()
    yield span
    span.seconds = time.monotonic() - began
    span.slowness = (before + slowness()) / 2


def slowness() -> float:
    """By how much longer than on the reference the same work takes now; 1.0 where it is quicker."""
    return max(1.0, median(_round() for _ in range(_ROUNDS)) / REFERENCE_S)


def _round() -> float:
    """The mean over all cores, which work at the same time."""
    command = [sys.executable, "-I", "-c", _WORK]
    cores = range(cpu_count() or 1)
    at_work = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in cores]
    return sum(float(each.communicate()[0]) for each in at_work) / len(at_work)
