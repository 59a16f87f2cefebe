"""The HTTP server: Tornado's protocol code with our own delegate on top.

``tornado.web`` is left out on purpose: one envelope for every answer, refusals before the body is
read and a log line without secrets are less code on the protocol's own interface than as overrides.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Coroutine
from email.utils import formatdate
from typing import Any

from tornado import httputil

from gtsd.deps import Deps
from gtsd.web import headers
from gtsd.web.answers import Answer
from gtsd.web.call import Request
from gtsd.web.exchange import Exchange
from gtsd.web.pipeline import Pipeline
from gtsd.web.routes import Match, RouteTable
from gtsd.web.wire import Server


class Api(httputil.HTTPServerConnectionDelegate):
    """Answers every request that arrives on the given sockets."""

    def __init__(self, deps: Deps, table: RouteTable) -> None:
        settings = deps.settings
        self.deps = deps
        self.pipeline = Pipeline(deps)
        self.max_body = settings.max_body_bytes
        self.trusted_proxies = [ipaddress.ip_network(net) for net in settings.trusted_proxies]
        self._table = table
        self._exchanges: set[Exchange] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._second = 0
        self._standing: dict[str | None, headers.Standing] = {}
        self._server = Server(
            self,
            idle_connection_timeout=settings.keepalive_timeout,
            body_timeout=settings.body_timeout,
            max_header_size=16 * 1024,
            max_body_size=settings.max_body_bytes,
            chunk_size=64 * 1024,
        )
        # The stream keeps this time itself.
        self._server.conn_params.header_timeout = None

    def serve(self, sockets: list[socket.socket]) -> None:
        """Start to accept on listening, non-blocking sockets."""
        self._server.add_sockets(sockets)

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> Exchange:
        """Tornado's hook for each new request on a connection."""
        del server_conn  # it is the server itself
        context: Any = request_conn.context  # type: ignore[attr-defined]  # HTTP1Connection
        # A unix socket has no address; whoever may open it is on this machine.
        peer = context.address[0] if isinstance(context.address, tuple) else "127.0.0.1"
        return Exchange(self, request_conn, peer)

    def match(self, method: str, path: str) -> Match:
        """The route of a request; raises NotFound, MethodNotAllowed."""
        return self._table.match(method, path)

    def options(self, request: Request) -> Answer | None:
        """The answer to OPTIONS; None for every other method. Raises NotFound."""
        if request.method != "OPTIONS":
            return None
        methods = self._table.allowed(request.path)
        out = {"Allow": ", ".join(methods)}
        if request.headers.get("Origin") in self.deps.settings.cors_origins:
            out |= headers.preflight(methods)
        return Answer(204, b"", out)

    def standing_headers(self, origin: str | None) -> headers.Standing:
        """What every answer carries, unless it says otherwise itself."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._standing.clear()
        listed = self.deps.settings.cors_origins
        known = origin if origin in listed else None
        found = self._standing.get(known)
        if found is None:
            fields = {"Date": formatdate(now, usegmt=True), "Cache-Control": "no-store"}
            fields |= {**headers.SECURITY, **headers.cors(known, listed)}
            found = self._standing[known] = headers.Standing(fields, headers.lines(fields))
        return found

    @property
    def draining(self) -> bool:
        """Whether every answer asks its client to connect anew."""
        return self.deps.life.draining

    def take_room(self) -> bool:
        """Count one more request in work, unless there are too many already."""
        life, metrics = self.deps.life, self.deps.metrics
        if life.in_flight >= self.deps.settings.max_in_flight:
            metrics.shed.inc()
            return False
        life.in_flight += 1
        metrics.in_flight.set(life.in_flight)
        return True

    def give_room_back(self) -> None:
        """A request that had taken room is no longer in work."""
        life = self.deps.life
        life.in_flight -= 1
        self.deps.metrics.in_flight.set(life.in_flight)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work on a request, whatever becomes of its connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def exchange_began(self, exchange: Exchange) -> None:
        """A request has started to come in."""
        self._exchanges.add(exchange)

    def exchange_ended(self, exchange: Exchange) -> None:
        """A request was answered, or its client has gone."""
        self._exchanges.discard(exchange)

    def start_draining(self) -> None:
        """From now on each answer closes its connection, once the client has it."""
        self.deps.life.draining = True
        self._server.conn_params.no_keep_alive = True

    def stop_accepting(self) -> None:
        """Close the listeners; a socket of systemd's stays open there, and its queue with it."""
        self._server.stop()

    async def finish(self, bound: float, idle: float) -> list[str]:
        """Wait until nothing is in work and no client is connected.

        A client with an idle connection, a proxy say, gets ``idle`` seconds to close it by itself:
        closing under its hands could meet a request that is just being sent. ``bound`` seconds are
        the limit for everything. Gives the routes of the requests that were not finished by then;
        those that had come in completely are still answered, with 503.
        """
        loop = asyncio.get_running_loop()
        ends, idle_ends = loop.time() + bound, loop.time() + min(idle, bound)
        while loop.time() < ends:
            busy = bool(self._exchanges or self._tasks)
            if not busy and (not self._connections() or loop.time() >= idle_ends):
                break
            await asyncio.sleep(0.02)
        abandoned = [exchange.route for exchange in self._exchanges]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.close_all_connections()
        return abandoned

    def _connections(self) -> int:
        """Open client connections; Tornado keeps them to itself."""
        return len(self._server._connections)  # noqa: SLF001 - there is no public way
