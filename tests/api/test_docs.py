"""The API page in a real browser: a person signs in and tries a call."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from gtsd.app import table
from gtsd.clock import FixedClock
from gtsd.web.openapi import document
from tests.api.conftest import Running, Start
from tests.support.browser import Page, open_page
from tests.support.client import PASSWORD

_SIGN_IN = """(() => {{
  const form = document.querySelector("#sign-in");
  form.elements.email.value = "{email}";
  form.elements.password.value = "{password}";
  form.requestSubmit();
}})()"""
_NOTE = 'document.querySelector("#note").textContent'


@pytest.fixture
async def page(tab: Page, service: Running) -> Page:
    """The API page, shown on a desk's screen."""
    await show(tab, service, 1280)
    return tab


async def show(page: Page, service: Running, width: int) -> None:
    """Open the API page on a screen of so many pixels and wait until it is all there."""
    await page.fit(width)
    await page.send("Page.navigate", url=f"{service.base}/docs")
    tags = len(document(table(), "0")["tags"])
    await page.until(f'document.querySelectorAll("#operations section").length === {tags}')


async def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Send the form at the top."""
    await page.evaluate(_SIGN_IN.format(email=email, password=password))


async def unfold(page: Page, operation: str) -> None:
    """Go to an operation as a link does."""
    await page.evaluate(f'location.hash = "{operation}"')
    await page.until(f'document.querySelector("#{operation} form") !== null')


async def send(page: Page, operation: str) -> str:
    """Press the button of an operation and read the status line."""
    form = f'document.querySelector("#{operation} form")'
    await unfold(page, operation)
    await page.evaluate(f'{form}.querySelector("button:not([type])").click()')
    status: str = await page.until(f'{form}.querySelector(".status").textContent')
    return status


async def text(page: Page, selector: str) -> str:
    """What a part of the page says."""
    found: str = await page.evaluate(f"document.querySelector('{selector}').textContent")
    return found


def strangers(page: Page, service: Running) -> list[str]:
    """Requests that went anywhere else; pictures inside the page are none."""
    return [url for url in page.requests if not url.startswith((service.base, "data:"))]


async def too_wide(page: Page) -> list[str]:
    """What sticks out on the right of a phone once every fold, and those in folds, are open."""
    await page.until(
        '[...document.querySelectorAll("details")]'
        ".every((fold) => fold.open && fold.children[1] || (fold.open = true, false))"
    )
    found: list[str] = await page.evaluate(
        "document.scrollingElement.scrollWidth <= 390 ? [] :"
        "[...document.querySelectorAll('body *')].filter("
        "(e) => e.getBoundingClientRect().right > 390).map((e) => e.outerHTML.slice(0, 200))"
    )
    return found


async def test_a_person_signs_in_and_tries_a_call(page: Page, service: Running) -> None:
    """The answer comes back with its status, its headers, its body and the same call for curl."""
    ada = await service.person()
    await ada.post("/v1/tasks", {"title": "Read <b>ten</b> pages"})
    await sign_in(page, ada.user["email"])
    await page.until('document.body.classList.contains("signed-in")')
    assert await text(page, "#who") == ada.user["email"]
    assert (await send(page, "getV1TasksToday")).startswith("200 OK in ")
    shown = await text(page, "#getV1TasksToday form")
    assert '"title": "Read <b>ten</b> pages"' in shown
    assert "X-Request-ID" in shown
    assert "ETag" in shown
    curl = f"curl -i '{service.base}/v1/tasks/today' \\\n  -H \"Authorization: Bearer $TOKEN\""
    assert curl in shown
    assert page.problems == []
    assert strangers(page, service) == []


async def test_a_wrong_password_is_told_as_it_came(page: Page, service: Running) -> None:
    """The code of the error is there, nobody is signed in, and a call says so as well."""
    ada = await service.person()
    await sign_in(page, ada.user["email"], "Wrong-horse-7")
    assert "(invalid_credentials)" in await page.until(_NOTE)
    assert await page.evaluate('document.body.classList.contains("signed-in")') is False
    assert (await send(page, "getV1TasksToday")).startswith("401 Unauthorized in ")
    assert '"code": "unauthenticated"' in await text(page, "#getV1TasksToday form")


async def test_a_spent_token_is_renewed_once_without_a_word(
    browser: str, start: Start, clock: FixedClock
) -> None:
    """Who reads for an hour and then presses the button gets the answer; signing out ends it."""
    service = await start()
    ada = await service.person()
    async with open_page(browser) as page:
        await show(page, service, 1280)
        await sign_in(page, ada.user["email"])
        await page.until('document.body.classList.contains("signed-in")')
        clock.move(timedelta(hours=1))
        assert (await send(page, "getV1TasksToday")).startswith("200 OK in ")
        assert page.requests.count(f"{service.base}/auth/refresh") == 1
        await page.evaluate('document.querySelector("#sign-out button").click()')
        assert await page.until(_NOTE) == "Signed out."


async def test_a_form_sends_what_was_typed(page: Page, service: Running) -> None:
    """Whoever opens an account with it is signed in; what is typed into a path stays one part."""
    await unfold(page, "postAuthSignup")
    await page.evaluate(
        'for (const area of document.querySelectorAll("#postAuthSignup textarea"))'
        '  area.value = area.value.replace("ada@", "typed@")'
    )
    assert (await send(page, "postAuthSignup")).startswith("201 Created in ")
    assert await text(page, "#who") == "typed@example.com"
    await unfold(page, "getV1TasksById")
    await page.evaluate('document.querySelector("#getV1TasksById input").value = "9/../8?x"')
    assert (await send(page, "getV1TasksById")).startswith("404 Not Found in ")
    assert page.requests[-1] == f"{service.base}/v1/tasks/9%2F..%2F8%3Fx"


async def test_a_phone_shows_the_page_without_scrolling_sideways(
    browser: str, service: Running
) -> None:
    """With every fold open, and after an answer came; one long word would be found."""
    async with open_page(browser) as page:
        await show(page, service, 390)
        await send(page, "getMetrics")
        assert await too_wide(page) == []
        await page.evaluate('document.querySelector("main p").style.width = "500px"')
        assert len(await too_wide(page)) > 0


async def test_the_page_can_run_nothing_else_and_ask_nobody_else(
    page: Page, service: Running
) -> None:
    """What would be smuggled into the page does not run, and the console tells."""
    assert page.problems == []
    await page.evaluate("fetch('http://127.0.0.1:9/').catch(() => { document.title = 'refused'; })")
    await page.until("document.title === 'refused'")
    await page.evaluate(
        "try { document.body.innerHTML = '<b>x</b>' } catch { document.title = 'safe' }"
    )
    assert await page.evaluate("document.title") == "safe"
    assert [problem for problem in page.problems if "connect-src" in problem]


@pytest.mark.skipif(
    not Path("/usr/bin/curl").exists(),
    reason="curl is missing; run this once: sudo apt-get install curl",
)
async def test_the_first_steps_lead_to_a_streak_of_one_day(page: Page, service: Running) -> None:
    """What the page tells a newcomer to type works as it stands."""
    blocks: list[str] = await page.evaluate(
        "[...document.querySelectorAll('#first-steps pre')].map((pre) => pre.textContent)"
    )
    script = "\n".join(blocks).replace("ada@example.com", "first-steps@example.com")
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(shell.communicate(), 30)
    assert shell.returncode == 0
    assert b'"current":1' in output.replace(b" ", b"").splitlines()[-1]
