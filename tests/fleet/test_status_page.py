"""The status page as Prometheus serves it, in a real browser, on real hosts: well, and not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.watching import keep_asking, query, receiver, tunnel
from tests.support.browser import Page
from tests.support.status_page import PAGE

# By hand (make test-alerts): it tells that all is well, which is not so for half an hour after what
# other tests do to the same fleet, and memory that runs out in any fleet is counted in all of them.
pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases, pytest.mark.by_hand]

PROMETHEUS = 9090
# What one who is woken would be told, or will be soon.
WRONG = 'ALERTS{severity="critical"} or ALERTS{severity="warning",alertstate="firing"}'
_DRAWN = """Object.fromEntries([...document.querySelectorAll("figure")].map((figure) =>
  [figure.dataset.plot, [...figure.querySelectorAll("path.curve")]
    .filter((path) => path.getAttribute("d").length > 5).length]))"""
_SAID = "document.querySelector('#verdict').innerText"


@pytest.fixture(scope="module")
def address(fleet: TestedFleet) -> Iterator[str]:
    """Where the page is, after somebody has asked for something and what went wrong is over."""
    keep_asking(fleet)
    deadline = time.monotonic() + 420
    # Told to nobody, an alert of a test before would raise NotificationsFail, and keep it up.
    with receiver(fleet), tunnel(fleet, PROMETHEUS) as port:
        while wrong := query(fleet, WRONG):
            assert time.monotonic() < deadline, wrong
            time.sleep(2)
        yield f"http://127.0.0.1:{port}/consoles/status.html"


async def show(tab: Page, address: str, scheme: str = "light", width: int = 1280) -> str:
    """Open it, wait until all was asked once, and read its line at the top."""
    await tab.fit(width)
    await tab.prefer(scheme)
    await tab.send("Page.navigate", url=f"{address}#1h")
    await tab.until("document.body && document.body.dataset.turn")
    said: str = await tab.evaluate(_SAID)
    return said


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390)])
async def test_the_page_tells_that_all_is_well(
    tab: Page, fleet: TestedFleet, address: str, scheme: str, width: int
) -> None:
    """In light and dark: every part known, every plot drawn of what was measured, no complaint."""
    assert (await show(tab, address, scheme, width)).startswith("All is well.")
    drawn = await tab.evaluate(_DRAWN)
    assert drawn.keys() == {plot["title"] for plot in PAGE["plots"]}
    empty = {title for title, lines in drawn.items() if not lines}
    assert empty == (set() if fleet.shape == "full" else {"Replication lag"})
    if empty:
        said = "document.querySelector('[data-plot=\"Replication lag\"] .said').innerText"
        assert await tab.evaluate(said) == "No standby followed in this time."
    parts = "[...document.querySelectorAll('#parts tbody tr')].map((row) => row.innerText).join()"
    told = await tab.evaluate(parts)
    for name in (*fleet.names("app"), *fleet.names("database"), "primary", "master", "left"):
        assert name in told, name
    assert await tab.evaluate("document.scrollingElement.scrollWidth") <= width
    assert tab.problems == []


async def test_a_page_that_is_open_tells_what_goes_wrong(
    tab: Page, fleet: TestedFleet, address: str
) -> None:
    """An exporter is off: it says so by itself, and that it is over."""
    assert (await show(tab, address)).startswith("All is well.")
    host = fleet.host(fleet.names("cache")[0])
    host.check_output("systemctl stop prometheus-redis-exporter")
    try:
        said = await _until_said(tab, "Redis")
        assert "All is well." not in said
        redis = "document.querySelector('[data-part=redis]').dataset.tone"
        assert await tab.evaluate(redis) == "bad"
    finally:
        host.check_output("systemctl start prometheus-redis-exporter")
    await _until_said(tab, "All is well.")


async def _until_said(tab: Page, words: str) -> str:
    """Two scrapes and two refreshes at most."""
    said: str = ""
    for _ in range(90):
        said = await tab.evaluate(_SAID)
        if words in said:
            return said
        await asyncio.sleep(1)
    raise AssertionError(f"it still says: {said}")
