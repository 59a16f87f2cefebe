"""What is asked of a client that runs: to begin, whether all is well, and to end."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from probe.errors import ProbeError
from probe.folder import Folder

# Figures are told each second; a client that does not is stuck.
_STALE_S: Final = 5.0
_FIRST_ANSWERS: Final = 5
_SHOWN: Final = 3
# The phases in which requests are made or still on their way.
_CALLING: Final = ("preparing", "running", "stopping")
# Longer than the slowest of them takes.
_END_S: Final = 180.0


def start(folder: Folder, arguments: Sequence[str], patience_s: float) -> str:
    """Run in the background until it is stopped; a sentence once the first answers were good.

    Raises ProbeError with the words of the client where it ends before, or is answered badly.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    program = Path(__file__).parent
    with folder.log.open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, str(program), "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + patience_s
    while process.poll() is None:
        # What lies there may be of another process, which this one will not replace.
        state = folder.state() if folder.state_file.exists() else {}
        if state.get("pid") == process.pid and state["phase"] == "running":
            if state["failed"]:
                break
            if state["requests"] >= _FIRST_ANSWERS:
                return f"The outside client calls {state['rate']:g} times a second."
        if time.monotonic() > until:
            doing = state.get("doing", "starting")
            process.terminate()
            raise ProbeError(f"Not ready after {patience_s:g} s; the client was {doing}.")
        time.sleep(0.1)
    if process.poll() is None:
        process.terminate()
        time.sleep(0.1)
        told = "; ".join(map(sentence, _failed(folder, None)))
        raise ProbeError(f"Requests fail before anything was changed: {told}")
    words = folder.log.read_text().strip().splitlines()
    raise ProbeError(words[-1] if words else f"It ended with {process.returncode} and no word.")


def sentence(row: dict[str, Any]) -> str:
    """A failed request in words."""
    at = time.strftime("%H:%M:%S", time.gmtime(row["scheduled"]))
    where = f" at {row['address']}" if row["address"] else ""
    return (
        f"{at} UTC {row['method']} {row['route']} ({row['kind']}, {row['protocol']}, "
        f"{row['connection']} connection{where}): {row['reason']}, {row['failure'].rstrip('.')}"
    )


def _failed(folder: Folder, since: float | None) -> Iterator[dict[str, Any]]:
    failed = (row for row in folder.rows(since) if row["reason"] is not None)
    return itertools.islice(failed, _SHOWN)


def _alive(folder: Folder) -> dict[str, Any]:
    """What it says, where it can be believed; raises ProbeError else: no client is no proof."""
    state = folder.state()
    if folder.owner() is None:
        how = "has ended" if state["phase"] == "ended" else "is dead"
        raise ProbeError(f"The outside client {how}, so nothing shows that requests are answered.")
    if (age := time.time() - state["at"]) > _STALE_S:
        raise ProbeError(f"The outside client has said nothing for {age:.0f} s; it is stuck.")
    if state["phase"] != "running":
        raise ProbeError(f"The outside client is {state['phase']} ({state['doing']}).")
    return state


def gate(
    folder: Folder,
    max_failed: int,
    max_p99: float | None,
    since: float | None,
    patience_s: float,
) -> str:
    """Look on for ``patience_s``, then a sentence; raises ProbeError where it is not well.

    ``max_failed`` requests may have failed, since a time in seconds since 1970 where one is given;
    99 of 100 in the last ten seconds may have taken ``max_p99`` seconds.
    """
    until = time.monotonic() + patience_s
    while True:
        state = _alive(folder)
        requests, failed = state["requests"], state["failed"]
        if since is not None:
            rows = list(folder.rows(since))
            requests, failed = len(rows), sum(row["reason"] is not None for row in rows)
        if failed > max_failed:
            told = "; ".join(map(sentence, _failed(folder, since)))
            raise ProbeError(f"{failed:,} of {requests:,} requests failed: {told}.")
        if time.monotonic() >= until:
            break
        time.sleep(min(0.25, max(until - time.monotonic(), 0.01)))
    recent = state["recent"]
    if not recent["requests"]:
        raise ProbeError(f"No request was answered for {recent['seconds']} s.")
    if max_p99 is not None and (recent["p99"] or 0.0) > max_p99:
        raise ProbeError(
            f"The slowest 1 % of requests took {recent['p99'] * 1000:.0f} ms or more in the last "
            f"{recent['seconds']} s; {max_p99 * 1000:.0f} ms are allowed."
        )
    p99 = f"; p99 {recent['p99'] * 1000:.0f} ms" if recent["p99"] is not None else ""
    return f"{failed:,} of {requests:,} requests failed{p99}."


def stop(folder: Folder) -> str:
    """Have it end in order, and what it counted, as JSON. Raises ProbeError where it died.

    Its accounts it deletes afterwards, by itself: the API takes ten deletions a minute, and nobody
    has to wait for that.
    """
    if (owner := folder.owner()) is not None:
        os.kill(owner, signal.SIGTERM)
        until = time.monotonic() + _END_S
        while folder.owner() is not None and folder.state()["phase"] in _CALLING:
            if time.monotonic() > until:
                raise ProbeError(f"Process {owner} has not ended after {_END_S:g} s.")
            time.sleep(0.1)
    # In this order: what one that has gone said last is final.
    gone = folder.owner() is None
    state = folder.state()
    if state["phase"] in _CALLING or (gone and state["phase"] != "ended"):
        raise ProbeError(
            "The outside client died before it was stopped, after "
            f"{state['requests']:,} requests, {state['failed']:,} of them failed; "
            f"its {state['accounts']} accounts are left."
        )
    return json.dumps(state)
