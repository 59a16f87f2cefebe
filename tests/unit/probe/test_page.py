"""The report in a real browser: on a desk, on a phone, in the dark, and fed by somebody hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probe import report
from probe.folder import Folder
from tests.support.browser import Page
from tests.unit.probe.stories import NOON, marks, write_run

HOSTILE = "</title></svg><img src=x onerror=\"document.title='run'\"><script>document.title='run'"
EVENTS: dict[str, Any] = {
    "version": "1.4.0",
    "previous": "1.3.2",
    "environment": "production",
    "title": "Release of GTSD",
    "verdict": "reverted",
    "reason": "app3 answered with errors.",
    "started": NOON,
    "ended": NOON + 150,
    "marks": marks(),
    "plan": ["Release 1.4.0", "  switch app1"],
    "diffs": [{"title": "Schema", "text": "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same"}],
    "record": {"id": 17, "by": "ada", "hosts": ["app1"], "details": {"a": 1}},
}


async def show(
    tab: Page, folder: Path, events: dict[str, Any], width: int = 1280, failed: int = 0
) -> None:
    """Write the report of a run and open it."""
    file = write_run(folder, events, failed=failed)
    report.write(Folder(folder), file, folder / "report.html")
    await tab.fit(width)
    await tab.send("Page.navigate", url=(folder / "report.html").as_uri())
    await tab.until(
        "document.readyState === 'complete' && document.querySelector('footer') !== null"
    )


async def number(tab: Page, selector: str) -> int:
    """How many of them are to be seen."""
    found: int = await tab.evaluate(
        f"[...document.querySelectorAll('{selector}')]"
        ".filter((e) => e.getBoundingClientRect().width > 0).length"
    )
    return found


async def test_the_page_shows_all_that_happened(tab: Page, tmp_path: Path) -> None:
    """Verdict, curve, hosts, failures, plan, differences and record; and it asks nobody."""
    await show(tab, tmp_path, EVENTS, failed=30)
    text = await tab.evaluate("document.querySelector('.verdict').textContent")
    assert "Reverted." in text
    assert "30 of 3,000 requests failed; p99 10 ms" in text
    assert "app3 answered with errors." in text
    assert await number(tab, "svg") == 1
    assert await tab.evaluate("document.querySelectorAll('svg.wide .mark').length") == 8 + 4
    labels = "[...document.querySelectorAll('svg.wide .host')].map((e) => e.textContent).join()"
    assert await tab.evaluate(labels) == "app1,app2,app3,app4"
    assert await number(tab, "svg.wide .failure") == 2
    assert await number(tab, "svg.wide .middle") == 1
    assert await number(tab, "pre .plus") == await number(tab, "pre .minus") == 1
    assert await tab.evaluate("document.body.textContent.includes('app1 at 12:00:30')")
    assert tab.problems == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []


async def test_a_phone_shows_it_without_scrolling_sideways(tab: Page, tmp_path: Path) -> None:
    """With a drawing of its own, whose letters can be read."""
    await show(tab, tmp_path, EVENTS, width=390, failed=30)
    assert await number(tab, "svg.narrow") == 1
    assert await number(tab, "svg.wide") == 0
    assert await tab.evaluate("document.scrollingElement.scrollWidth") <= 390
    height = "document.querySelector('svg.narrow text').getBoundingClientRect().height"
    assert await tab.evaluate(height) > 9


async def test_the_page_follows_the_dark(tab: Page, tmp_path: Path) -> None:
    """Paper and ink change places."""
    await show(tab, tmp_path, EVENTS)
    color = "getComputedStyle(document.body).backgroundColor"
    light = await tab.evaluate(color)
    await tab.prefer("dark")
    assert (light, await tab.evaluate(color)) == ("rgb(244, 246, 243)", "rgb(15, 20, 18)")


async def test_the_drawing_can_be_heard(tab: Page, tmp_path: Path) -> None:
    """Title and description are those of the picture, and a table says the same."""
    await show(tab, tmp_path, EVENTS, failed=30)
    named = (
        "document.querySelector('svg.wide').getAttribute('aria-labelledby').split(' ')"
        ".map((id) => document.getElementById(id).textContent).join(' ')"
    )
    heard = await tab.evaluate(named)
    assert "How long requests took" in heard
    assert "30 failed requests. Hosts switched: app1 at 12:00:30, app2 at 12:00:50" in heard
    rows = "document.querySelectorAll('details tbody tr').length"
    assert 30 < await tab.evaluate(rows) <= 60


async def test_what_strangers_wrote_stays_text(tab: Page, tmp_path: Path) -> None:
    """In each field of the events; and what would run all the same is forbidden to."""
    hostile = {
        **dict.fromkeys(("version", "previous", "environment", "title", "reason"), HOSTILE),
        "marks": [{"at": NOON + 30, "host": HOSTILE, "what": HOSTILE}],
        "plan": [HOSTILE],
        "diffs": [{"title": HOSTILE, "text": f"+{HOSTILE}"}],
        "record": {HOSTILE: HOSTILE, "x": {"y": HOSTILE}},
    }
    await show(tab, tmp_path, hostile)
    assert await tab.evaluate("document.images.length + document.scripts.length") == 0
    assert HOSTILE in await tab.evaluate("document.title")
    assert HOSTILE in await tab.evaluate("document.querySelector('pre .plus').textContent")
    assert tab.problems == []
    # The control: put in as it is, it would be there, and be kept from running.
    await tab.evaluate("document.querySelector('footer').innerHTML = '<img src=x onerror=x>'")
    assert await tab.evaluate("document.images.length") == 1
    await tab.evaluate(
        "{ const s = document.createElement('script'); s.textContent = 'document.title = 1';"
        " document.body.append(s); }"
    )
    assert await tab.evaluate("document.title") != "1"


@pytest.mark.parametrize(
    ("verdict", "failed", "mood"),
    [("released", 0, "good"), ("released", 1, "bad"), ("reverted", 0, "mixed"),
     ("rolled back", 0, "good"), ("failed", 0, "bad")],
)  # fmt: skip
def test_only_what_nobody_noticed_is_green(
    verdict: str, failed: int, mood: str, tmp_path: Path
) -> None:
    """A release that was taken back in time is neither."""
    file = write_run(tmp_path, {"version": "1", "verdict": verdict}, failed=failed)
    report.write(Folder(tmp_path), file, tmp_path / "report.html")
    assert f'class="verdict {mood}"' in (tmp_path / "report.html").read_text()


def test_only_the_version_has_to_be_known(tmp_path: Path) -> None:
    """A page is written all the same, and history.json beside it."""
    file = write_run(tmp_path, {"version": "1.4.0"})
    said = report.write(Folder(tmp_path), file, tmp_path / "out" / "report.html")
    assert said == "0 of 3,000 requests failed; p99 10 ms."
    assert (tmp_path / "out" / "history.json").exists()
    assert "What was done" not in (tmp_path / "out" / "report.html").read_text()
