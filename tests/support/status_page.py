"""The status page as role monitoring writes it, and a Prometheus that says what a test wants.

Prometheus expands the page as a template of Go, too, which has nothing to do there: static tests
hold that, and those on the fleet see the page as it comes from the real one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tornado.web
from jinja2 import Environment, StrictUndefined
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

ROLE = Path(__file__).parents[2] / "roles/monitoring"
FILES = ROLE / "files/status"
PAGE: dict[str, Any] = json.loads((FILES / "page.json").read_text())
_TEMPLATE = ROLE / "templates/etc/prometheus/gtsd/consoles/status.html.j2"


def render(domain: str = "api.example.com") -> str:
    """The file on the host, for a domain."""
    # As Ansible has it.
    environment = Environment(trim_blocks=True, undefined=StrictUndefined)  # noqa: S701
    environment.filters["to_json"] = json.dumps
    template = environment.from_string(_TEMPLATE.read_text())
    return template.render(
        lookup=lambda _, name: (ROLE / "files" / name).read_text().rstrip(),
        role_path=str(ROLE),
        gtsd_domain=domain,
    )


def queries() -> dict[str, str]:
    """Every question of the page, by where it stands there."""
    found = {f"now/{name}": query for name, query in PAGE["now"].items()}
    for plot in PAGE["plots"]:
        for line in plot["lines"]:
            found[f"{plot['title']}/{line['label']}"] = line["query"].replace("$window", "2m")
    return found | {"releases": PAGE["releases"]}


Labels = dict[str, str]


@dataclass
class Prometheus:
    """What it answers: series by query and the alerts; ``broken`` is said of all queries."""

    now: dict[str, list[tuple[Labels, float]]] = field(default_factory=dict)
    past: dict[str, list[tuple[Labels, list[float | None]]]] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    broken: str = ""
    url: str = ""

    def answer(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        """The data of one question."""
        if path == "alerts":
            return {"alerts": self.alerts}
        if path == "query":
            samples = self.now.get(asked["query"], [])
            return {"result": [{"metric": m, "value": [0, str(v)]} for m, v in samples]}
        start, step = int(asked["start"]), int(asked["step"])
        series = self.past.get(asked["query"].replace(f"[{max(120, step)}s]", "[$window]"), [])
        # The last one is now, those before are a step apart each.
        count = (int(asked["end"]) - start) // step
        return {
            "result": [
                {
                    "metric": labels,
                    "values": [
                        [start + (count - len(values) + 1 + number) * step, str(value)]
                        for number, value in enumerate(values)
                        if value is not None
                    ],
                }
                for labels, values in series
            ]
        }


class _Page(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(render())


class _Api(tornado.web.RequestHandler):
    def get(self, path: str) -> None:
        told: Prometheus = self.settings["told"]
        asked = {name: self.get_argument(name) for name in self.request.arguments}
        if told.broken and path != "alerts":
            self.set_status(422)
            self.write({"status": "error", "errorType": "execution", "error": told.broken})
            return
        self.write({"status": "success", "data": told.answer(path, asked)})


@asynccontextmanager
async def prometheus(told: Prometheus) -> AsyncIterator[Prometheus]:
    """Serves the page and its answers at ``url`` while the block runs."""
    routes = [("/consoles/status.html", _Page), ("/api/v1/(.*)", _Api)]
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(tornado.web.Application(routes, told=told))
    server.add_sockets(sockets)
    told.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/consoles/status.html"
    try:
        yield told
    finally:
        server.stop()
        await server.close_all_connections()
