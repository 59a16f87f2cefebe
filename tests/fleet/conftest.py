"""The fleet that the tests of this folder look at: one that is up, chosen by GTSD_REHEARSAL.

`make test-fleet` starts one after the other and runs for each the tests that are meant for it. By
hand: `make rehearsal`, then pytest as often as wanted.
"""

from __future__ import annotations

import os

import pytest

from tests.fleet.machines.commands import Refused
from tests.fleet.machines.fleet import find
from tests.fleet.machines.shapes import SHAPES
from tests.fleet.machines.tested import TestedFleet

# A playbook, or a host that boots, is part of many of these tests.
_TIMEOUT = 900


def _name() -> str:
    return os.environ.get("GTSD_REHEARSAL") or "rehearsal"


def _shape() -> str | None:
    try:
        return find(_name()).plan.shape.name
    except Refused:
        return None


def pytest_configure(config: pytest.Config) -> None:
    """Tests say which fleets they are meant for."""
    config.addinivalue_line(
        "markers", f"shape(*names): run on these fleets, of {', '.join(SHAPES)}; small by default"
    )
    config.addinivalue_line(
        "markers",
        "both_releases: on Debian 12 too, where `make test-fleet` has such a small fleet",
    )
    config.addinivalue_line(
        "markers", "beside: on a second fleet at the same time, where all tests of small are run"
    )
    config.addinivalue_line("markers", "by_hand: runs where its file is named, not with all")
    config.addinivalue_line("markers", "last: leaves a fleet that site.yml refuses to change")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only what is meant for the fleet that is up; those that disturb it come last."""
    shape = _shape()
    fleet_tests = [item for item in items if "fleet" in getattr(item, "fixturenames", ())]
    for item in fleet_tests:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT))
        foreign = shape is not None and shape not in shapes(item)
        if foreign or (item.get_closest_marker("by_hand") and not _is_named(config, item)):
            items.remove(item)
            config.hook.pytest_deselected(items=[item])
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def _is_named(config: pytest.Config, item: pytest.Item) -> bool:
    return any(item.path.name in argument for argument in config.args)


def shapes(item: pytest.Item) -> tuple[str, ...]:
    """The shapes of fleets that a test is meant for."""
    marker = item.get_closest_marker("shape")
    wanted = marker.args if marker else ("small",)
    unknown = set(wanted) - set(SHAPES)
    if unknown:
        raise pytest.UsageError(f"{item.nodeid} is meant for {unknown}, which no fleet is.")
    return wanted


@pytest.fixture(scope="session")
def fleet() -> TestedFleet:
    """The fleet that is up, with site.yml run."""
    try:
        return TestedFleet(find(_name()))
    except Refused as error:
        if os.environ.get("GTSD_REHEARSAL"):
            raise
        pytest.skip(f"{error} Start one: make rehearsal")
