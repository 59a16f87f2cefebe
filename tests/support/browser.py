"""A headless Chromium, driven by the DevTools protocol over its websocket.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

_FLAGS = (
    "--headless=new --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --no-proxy-server --remote-debugging-port=0"
)
# A page that asks any other host gets nothing.
_ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
_MISSING = "Chromium is missing; run this once: sudo apt-get install chromium"
_PROBLEMS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


@contextmanager
def chromium(profile: Path) -> Iterator[str]:
    """The websocket's URL of a browser with an empty profile, which ends with the block.

    Where there is none the test is skipped; in CI it fails.
    """
    # Under any of the names that distributions give it.
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    command = [program, *_FLAGS.split(), _ONLY_HERE, f"--user-data-dir={profile}", "about:blank"]
    if os.getuid() == 0:
        command.append("--no-sandbox")
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield _endpoint(process, profile)
    finally:
        process.kill()  # it has nothing to lose; its children end with it
        process.wait()


def _endpoint(process: subprocess.Popen[bytes], profile: Path) -> str:
    place, until = profile / "DevToolsActivePort", time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        lines = place.read_text().split() if place.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise RuntimeError(f"Chromium does not start: {(profile / 'log').read_text()[-2000:]}")


class Page:
    """One tab; ``requests`` are the URLs it asked for, ``problems`` what its console says."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self._waiting: list[asyncio.Future[dict[str, Any]]] = []
        self.session: dict[str, str] = {}
        self.requests: list[str] = []
        self.problems: list[str] = []

    async def send(self, method: str, **params: Any) -> Any:
        """One command and its result; raises AssertionError where Chromium refuses it."""
        message = {"id": len(self._waiting), "method": method, "params": params, **self.session}
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await self.socket.write_message(json.dumps(message))
        answer = await asyncio.wait_for(waiting, 20)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    async def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page, as JSON can say it."""
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, (expression, answer)
        return answer["result"].get("value")

    async def fit(self, width: int) -> None:
        """Be a screen of so many pixels, a phone's where that is narrow."""
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.send("Emulation.setDeviceMetricsOverride", **screen)

    async def prefer(self, scheme: str) -> None:
        """Be set to ``light`` or ``dark``."""
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=media)

    async def until(self, expression: str) -> Any:
        """Ask until it is true, with a bound."""
        for _ in range(400):
            if value := await self.evaluate(expression):
                return value
            await asyncio.sleep(0.025)
        raise AssertionError(f"never true: {expression}; the console says {self.problems}")

    async def listen(self) -> None:
        """Read until the browser hangs up."""
        while (text := await self.socket.read_message()) is not None:
            message = json.loads(text)
            if "id" in message:
                self._waiting[message["id"]].set_result(message)
            elif message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] in _PROBLEMS:
                self.problems.append(str(message["params"]))


@asynccontextmanager
async def open_page(endpoint: str) -> AsyncIterator[Page]:
    """A tab in a context of its own, without cookies or cache of another one."""
    page = Page(await websocket_connect(endpoint, max_message_size=100 << 20))
    listener = asyncio.create_task(page.listen())
    context = await page.send("Target.createBrowserContext")
    target = await page.send("Target.createTarget", url="about:blank", **context)
    page.session = await page.send("Target.attachToTarget", **target, flatten=True)
    for domain in ("Page", "Runtime", "Log", "Network"):
        await page.send(f"{domain}.enable")
    try:
        yield page
    finally:
        page.socket.close()
        await asyncio.wait_for(listener, 10)
