"""The status page in a real browser, beside a Prometheus that says what each test wants."""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.status_page import PAGE, Prometheus, prometheus

HOSTILE = "</script><img src=x onerror=\"document.title='run'\">"
NOW, PLOTS = PAGE["now"], {plot["title"]: plot for plot in PAGE["plots"]}
JOBS = {
    "api": "app1-1", "worker": "app1", "postgresql": "db1", "redis": "db1", "etcd": "db1",
    "nginx": "edge1", "node": "app1",
}  # fmt: skip
WATCHDOG = {"labels": {"alertname": "Watchdog", "severity": "none"}, "state": "firing"}


def alert(name: str, severity: str, state: str = "firing", **told: str) -> dict[str, Any]:
    """One as Prometheus tells it, since five minutes."""
    labels = {"alertname": name, "severity": severity, "instance": "app1-1"}
    annotations = {"summary": f"{name} is wrong.", "runbook": "RUNBOOK.md#a-unit-failed", **told}
    since = time.strftime("%Y-%m-%dT%H:%M:%S.000000001Z", time.gmtime(time.time() - 300))
    return {"labels": labels, "annotations": annotations, "state": state, "activeAt": since}


def well() -> Prometheus:
    """All is up, and each line was measured for an hour."""
    up = [({"job": job, "instance": name}, 1.0) for job, name in JOBS.items()]
    one = [({"instance": "db1", "role": "master", "repo": "1", "leaf": "etcd"}, 1.0)]
    public = [({"job": "public", "instance": "name"}, 1.0)]
    ready = [({"job": "ready", "instance": "app1-1"}, 1.0)]
    runs = [
        ({"job": job, "instance": JOBS[job], "version": "1.4.0"}, 1.0) for job in ("api", "worker")
    ]
    now = dict.fromkeys(NOW.values(), one) | {
        NOW["up"]: up,
        NOW["probes"]: public + ready,
        NOW["versions"]: runs,
        NOW["served"]: [(public[0][0], 86400 * 60.0)],
        NOW["drill"]: [({}, 1.0)],
    }
    labels = {"class": "2xx", "state": "waiting", "instance": "a", "role": "r", "standby": "s"}
    past: dict[str, Any] = {
        line["query"]: [(labels, [0.25] * 15)] for plot in PAGE["plots"] for line in plot["lines"]
    }
    past[PAGE["releases"]] = [({"version": "1.4.0"}, [1] * 15)]
    return Prometheus(now, past, [copy.deepcopy({**WATCHDOG, "annotations": {}})])


@pytest.fixture
async def told() -> AsyncIterator[Prometheus]:
    """Where all is well, until a test says something else."""
    async with prometheus(well()) as server:
        yield server


async def show(tab: Page, told: Prometheus, width: int = 1280) -> str:
    """Open the page, wait until all has been asked once, and read its line at the top."""
    await tab.fit(width)
    await tab.send("Page.navigate", url=told.url)
    await tab.until("document.body && document.body.dataset.turn")
    return await text(tab, "#verdict")


async def text(tab: Page, selector: str) -> str:
    """What stands there, and is to be seen."""
    found: str = await tab.evaluate(f"document.querySelector(`{selector}`).innerText")
    return found


def figure(title: str) -> str:
    """The selector of a plot."""
    return f'figure[data-plot="{title}"]'


async def test_a_calm_night_is_told_in_one_line(tab: Page, told: Prometheus) -> None:
    """Nothing is wrong, every part is well, every plot has a line; nobody else is asked."""
    assert await show(tab, told) == "All is well. No alert fires, and all parts answer."
    tones = "[...document.querySelectorAll('[data-tone]')].map((e) => e.dataset.tone).join()"
    assert await tab.evaluate(tones) == ",".join(["good"] * len(PAGE["parts"]))
    assert "app1-1 1.4.0" in await text(tab, "[data-part=api]")
    drawn = "[...document.querySelectorAll('figure')].filter((e) => e.querySelector('path.curve'))"
    assert await tab.evaluate(f"{drawn}.length") == len(PLOTS)
    assert await tab.evaluate("document.querySelector('#firing').hidden") is True
    assert tab.problems == []
    base = told.url.removesuffix("/consoles/status.html")
    assert [u for u in tab.requests if not u.startswith((f"{base}/", "data:"))] == []


async def test_what_fires_is_told_with_what_to_do(tab: Page, told: Prometheus) -> None:
    """The worst first, since when, and a runbook; what may follow is folded away."""
    link = "https://wiki.example.com/RUNBOOK#a-unit-failed"
    told.alerts += [
        alert("JobsFailed", "warning"),
        alert("DrillNeverPassed", "warning", "pending"),
        alert("ApiDown", "critical", runbook=link),
    ]
    said = await show(tab, told)
    assert said.startswith("1 critical and 1 warning alerts fire. Not as they should be: API,")
    rows = await tab.evaluate(
        "[...document.querySelectorAll('#firing tbody tr')].map((e) => e.innerText)"
    )
    assert ["ApiDown" in rows[0], "JobsFailed" in rows[1], len(rows)] == [True, True, 2]
    assert "for 5 min" in rows[0]
    assert "RUNBOOK.md: a unit failed" in rows[1]
    href = await tab.evaluate("document.querySelector('#firing a').href")
    assert (href, await text(tab, "#firing a")) == (link, "a unit failed")
    assert await text(tab, "#pending summary") == "1 warning alert may follow"
    assert await tab.evaluate("document.querySelector('#verdict').className") == "verdict bad"


async def test_a_part_that_is_away_is_told_before_an_alert(tab: Page, told: Prometheus) -> None:
    """No alert fires yet; and a warning that waits for a day does not spoil a calm night."""
    told.alerts.append(alert("DrillNeverPassed", "warning", "pending"))
    assert "All is well." in await show(tab, told)
    up = [({"job": "redis", "instance": "db1"}, 0.0)]
    told.now[NOW["up"]] = [s for s in told.now[NOW["up"]] if s[0]["job"] != "redis"] + up
    assert "Something is not as it should be." in await show(tab, told)
    assert "db1 does not answer" in await text(tab, "[data-part=redis]")
    del told.now[NOW["pools"]]
    assert "PgBouncer" in await show(tab, told)
    assert "Nobody tells of it." in await text(tab, "[data-part=pgbouncer]")


async def test_each_of_a_database_has_its_role(tab: Page, told: Prometheus) -> None:
    """A standby is known by its internal name; one that follows nobody is not well."""
    for name in ("db2", "db3"):
        told.now[NOW["up"]].append(({"job": "postgresql", "instance": name}, 1.0))
    told.now[NOW["primary"]] = [({"instance": f"db{n}"}, float(n == 1)) for n in (1, 2, 3)]
    told.now[NOW["lag"]] = [({"standby": "db2.gtsd.internal", "instance": "db1"}, 0.02)]
    told.now[NOW["cacheRoles"]] = [({"instance": "db1", "role": "slave"}, 1.0)]
    assert "Not as they should be: Database." in await show(tab, told)
    members = "[...document.querySelectorAll('[data-part=database] li')].map((e) => e.innerText)"
    told_of = "db1 primary|db2 standby, 20 ms behind|db3 standby, does not follow"
    assert await tab.evaluate(f"{members}.join('|')") == told_of
    assert "db1 replica" in await text(tab, "[data-part=redis]")


async def test_rules_that_are_not_computed_are_told(tab: Page, told: Prometheus) -> None:
    """No alert is not the same as nobody who would raise one."""
    told.alerts.clear()
    assert (await show(tab, told)).startswith("Alerts are not computed.")


async def test_what_prometheus_refuses_is_said(tab: Page, told: Prometheus) -> None:
    """In the line at the top, in place of the parts, and in each plot; so it is where it is off."""
    told.broken = "too many samples"
    words = "Prometheus answered 422: too many samples"
    assert words in await show(tab, told)
    assert words in await text(tab, "#parts")
    assert await text(tab, f"{figure('Memory')} .said") == words
    await tab.send("Network.emulateNetworkConditions", offline=True, latency=0,
                   downloadThroughput=0, uploadThroughput=0)  # fmt: skip
    await tab.evaluate("location.hash = '7d'")
    await tab.until("document.body.dataset.turn === '2'")
    assert "Prometheus cannot be reached" in await text(tab, "#verdict")


async def test_what_was_not_measured_is_said(tab: Page, told: Prometheus) -> None:
    """An empty plot says why, and a line breaks where nothing was measured."""
    told.past[PLOTS["Replication lag"]["lines"][0]["query"]] = []
    told.past[PLOTS["Memory"]["lines"][0]["query"]] = [
        ({"instance": "a"}, [0.2, 0.3, None, None, float("nan"), 0.4, 0.5])
    ]
    await show(tab, told)
    lag = figure("Replication lag")
    assert await text(tab, f"{lag} .said") == "No standby followed in this time."
    assert await tab.evaluate(f"document.querySelectorAll('{lag} path').length") == 0
    path = f"document.querySelector('{figure('Memory')} path').getAttribute('d')"
    assert (await tab.evaluate(path)).count("M") == 2
    assert await text(tab, f"{figure('Memory')} tbody td") == "50 %"
    # What has ended is not told as of now.
    told.past[PLOTS["Memory"]["lines"][0]["query"]] = [({"instance": "a"}, [0.2, 0.3, *[None] * 9])]
    await show(tab, told)
    assert await text(tab, f"{figure('Memory')} tbody td") == "–"


async def test_releases_stand_in_every_plot(tab: Page, told: Prometheus) -> None:
    """Where another version began to serve: not where the first was there, nor after an outage."""
    told.past[PAGE["releases"]] = [
        ({"version": "1.4.0"}, [1, 1, 1, None, 1, 1, 1, 1, None, 1]),
        ({"version": "1.5.0"}, [None, None, None, None, None, None, 1, 1, 1, None]),
    ]
    await show(tab, told)
    assert await tab.evaluate("document.querySelectorAll('.mark').length") == 2 * len(PLOTS)
    names = f"[...document.querySelectorAll('{figure('Memory')} .release')]"
    assert await tab.evaluate(f"{names}[0].textContent") == "1.5.0"
    releases = await text(tab, "#releases")
    assert releases.index("1.5.0 at") < releases.index("1.4.0 at")


async def test_values_can_be_read_at_any_time(tab: Page, told: Prometheus) -> None:
    """By keys as by the pointer, in all plots at once; the span is a link."""
    values: list[float | None] = [*[0.2] * 60, 0.5]
    told.past[PLOTS["Memory"]["lines"][0]["query"]] = [({"instance": "a"}, values)]
    await show(tab, told)
    cell = f"{figure('Memory')} tbody td"
    assert await text(tab, cell) == "50 %"
    await tab.evaluate(f"document.querySelector('{figure('Disk')} svg').focus()")
    key = {"key": "ArrowLeft", "code": "ArrowLeft", "windowsVirtualKeyCode": 37}
    await tab.send("Input.dispatchKeyEvent", type="keyDown", **key)
    assert await text(tab, cell) == "20 %"
    assert await text(tab, f"{figure('Memory')} thead th:nth-child(2)") != "Now"
    await tab.evaluate("document.querySelector('#spans a').click()")
    await tab.until("document.body.dataset.turn === '2'")
    assert await text(tab, "#spans [aria-current]") == "1 h"


async def test_a_phone_shows_it_without_scrolling_sideways(tab: Page, told: Prometheus) -> None:
    """With alerts and long names, too, and letters that can be read."""
    told.alerts.append(alert("ApiDown", "critical", summary="Averylongword" * 12))
    await show(tab, told, width=390)
    assert await tab.evaluate("document.scrollingElement.scrollWidth") <= 390
    height = f"document.querySelector('{figure('Disk')} text').getBoundingClientRect().height"
    assert await tab.evaluate(height) > 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_can_be_told_from_its_paper(tab: Page, told: Prometheus, scheme: str) -> None:
    """Text by 4.5 to 1 and lines by 3 to 1, in either light; the control is a pale grey."""
    await tab.prefer(scheme)
    told.alerts += [alert("ApiDown", "critical"), alert("JobsFailed", "warning")]
    await show(tab, told)
    style = "getComputedStyle(document.querySelector('{}'))"
    dark = await tab.evaluate(f"{style.format('body')}.backgroundColor")
    assert dark == {"light": "rgb(244, 246, 243)", "dark": "rgb(15, 20, 18)"}[scheme]

    async def color(name: str) -> float:
        await tab.evaluate(f"document.querySelector('footer').style.color = '{name}'")
        return _luminance(await tab.evaluate(f"{style.format('footer')}.color"))

    sheet = await color("var(--sheet)")
    for name, on in (("ink", "sheet"), ("soft", "paper"), ("good", "good-wash"),
                     ("bad", "bad-wash"), ("mixed", "mixed-wash"), ("curve", "sheet")):  # fmt: skip
        assert _contrast(await color(f"var(--{name})"), await color(f"var(--{on})")) >= 4.5, name
    for number in range(8):
        assert _contrast(await color(f"var(--tone-{number})"), sheet) >= 3, number
    grey = {"light": "#ccc", "dark": "#333"}[scheme]
    assert _contrast(await color(grey), sheet) < 3


def _luminance(color: str) -> float:
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


async def test_what_strangers_wrote_stays_text(tab: Page, told: Prometheus) -> None:
    """In labels, words of alerts, versions and errors; a link of theirs does not run either."""
    told.alerts.append(alert(HOSTILE, "critical", summary=HOSTILE, runbook="javascript:alert(1)#x"))
    for query in told.now:
        told.now[query] = [
            ({**labels, "instance": HOSTILE, "version": HOSTILE, "repo": HOSTILE}, value)
            for labels, value in told.now[query]
        ]
    for query in told.past:
        told.past[query] = [
            (dict.fromkeys(("class", "instance", "role", "version"), HOSTILE), [1, 1])
        ]
    await show(tab, told)
    assert HOSTILE in await text(tab, "#firing")
    assert HOSTILE in await text(tab, "[data-part=api]")
    assert HOSTILE in await text(tab, f"{figure('Memory')} table")
    # The spans are the only links.
    markup = "document.images.length + document.querySelectorAll('main a').length"
    assert await tab.evaluate(markup) == 4
    assert tab.problems == []
    # The control: text that were put in as markup is refused by the page itself.
    refused = (
        "(() => { try { document.querySelector('footer').innerHTML = '<img>'; }"
        " catch (error) { return error.name; } })()"
    )
    assert await tab.evaluate(refused) == "TypeError"
