"""Releases that are bad in six ways, and one that only shows it in service: none of them stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fleet.machines.commands import say
from tests.fleet.machines.places import PROJECT
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import Edit, build, current, outside, processes
from tests.support.probing import history

pytestmark = [pytest.mark.shape("full"), pytest.mark.timeout(900)]

RATE = 30.0
# Seconds from the first failed request until all hosts are back.
REVERT = 60.0

_FUTURE = "from __future__ import annotations\n"
_HANDLER = "        self._read(call)\n        with tracing"
_READY = "    process.deps.life.ready = True\n"
_NUMBER = len(list((PROJECT / "migrations").glob("*.undo.sql"))) + 1


def _before_each_answer(statement: str) -> list[Edit]:
    file = "service/gtsd/web/pipeline.py"
    return [Edit(file, f"        {statement}\n{_HANDLER}", _HANDLER)]


_HALF = '__import__("random").random() < 0.5'
_FAIL = 'raise RuntimeError("sabotage")'
SABOTAGES = {
    "import error": [Edit("service/gtsd/app.py", f"{_FUTURE}import gtsd.nothing\n", _FUTURE)],
    "never ready": [Edit("service/gtsd/ops/handlers.py", "if True:", "if deps.life.draining:")],
    "ready, then crash": [
        Edit(
            "service/gtsd/lifecycle.py",
            f'{_READY}    asyncio.get_running_loop().call_later(2, __import__("os")._exit, 3)\n',
            _READY,
        )
    ],
    "half of the answers 500": _before_each_answer(f"if {_HALF}: {_FAIL}"),
    "3 s latency": _before_each_answer('await __import__("asyncio").sleep(3)'),
    "failing migration": [
        Edit(
            f"migrations/{_NUMBER:04}_sabotage.sql",
            "-- purpose: fails\n-- phase: expand\n-- lock: ACCESS EXCLUSIVE on nothing (instant)\n"
            "-- undo: nothing to undo\n\nALTER TABLE no_such_table ADD COLUMN sabotage integer;\n",
        ),
        Edit(f"migrations/{_NUMBER:04}_sabotage.undo.sql", "SELECT 1;\n"),
    ],
}
# What the trial, which comes by no proxy, cannot see.
IN_SERVICE = _before_each_answer(
    f'if call.request.headers.get("X-Forwarded-Host") and {_HALF}: {_FAIL}'
)


@pytest.mark.parametrize(
    "kind", SABOTAGES, ids=lambda kind: kind.replace(", ", "-").replace(" ", "-")
)
def test_a_bad_release_is_seen_before_anybody_meets_it(
    fleet: TestedFleet, tmp_path: Path, kind: str
) -> None:
    """No host is switched to it, no process restarted, no request fails; and it says why."""
    version = build(fleet, SABOTAGES[kind])
    before = (current(fleet), processes(fleet))
    with outside(fleet, tmp_path, RATE) as client:
        play = fleet.play("release.yml", "-e", f"version={version}", *client.lent)
        assert play.rc != 0, play.stdout[-3000:]
        assert client.failures() == {}
    assert f"Release {version} was" in play.stdout, play.stdout[-3000:]
    assert (current(fleet), processes(fleet)) == before


def test_what_only_shows_in_service_is_taken_back_everywhere(
    fleet: TestedFleet, tmp_path: Path
) -> None:
    """One stand-in met it: that ends, the rest was never touched, and it is bad for ever."""
    version = build(fleet, IN_SERVICE)
    before, untouched = current(fleet), processes(fleet)
    with outside(fleet, tmp_path, RATE) as client:
        play = fleet.play("release.yml", "-e", f"version={version}", *client.lent)
        ended = time.time()
        # The control: this client does see what fails.
        assert client.failures().total() > 0
    failed = [row["scheduled"] for row in history(tmp_path) if row["reason"] is not None]
    say(f"{len(failed)} of {len(history(tmp_path))} requests failed")
    assert play.rc != 0
    assert f"Release {version} was taken back" in play.stdout, play.stdout[-3000:]
    assert ended - min(failed) < REVERT
    assert max(failed) < ended
    assert current(fleet) == before
    changed = [name for name, pids in processes(fleet).items() if pids != untouched[name]]
    assert len(changed) == 1
    name = changed[0]
    same = set(processes(fleet)[name].split()) & set(untouched[name].split())
    assert len(same) == 2, "of two instances and the worker one instance was away"
    again = fleet.play("release.yml", "-e", f"version={version}")
    assert again.rc != 0
    assert "is marked as bad" in again.stdout
