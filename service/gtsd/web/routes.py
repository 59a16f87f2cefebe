"""The route table: which function answers which method and path, for whom, and with what shapes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from gtsd.errors import MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from gtsd.web.answers import Answer
    from gtsd.web.call import Call

MAX_ID: Final = 2**63 - 1
_ADDRESS: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)

JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"

Handler = Callable[["Call"], Awaitable["Answer"]]


class Policy(Enum):
    """Who may call a route."""

    OPS = "ops"  # probes and metrics: no token, no limit, never shed
    PUBLIC = "public"  # no token; limited by address
    USER = "user"  # an access token of an active account; limited by user


class Limited(Enum):
    """The stricter limits that a route may carry on top of the general one."""

    AUTH_WRITE = "auth_write"
    HEAVY = "heavy"


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table. ``answer`` is the type of ``data`` in the success body."""

    method: str
    template: str
    handler: Handler
    policy: Policy
    summary: str
    tag: str
    answer: Any = None
    status: int = 200
    body: type | None = None
    # JSON, or a form for a sender that knows nothing else.
    body_type: str = JSON_TYPE
    query: type | None = None
    limit: Limited | None = None
    # Statuses of refusals that are particular to this route, for the document.
    refusals: tuple[int, ...] = ()
    # Other statuses of success, with the same shape of answer.
    also: tuple[int, ...] = ()
    # Takes Idempotency-Key.
    creates: bool = False
    # False where the body is not the JSON envelope (ops, documents).
    enveloped: bool = True
    media_type: str = "application/json"
    # Fields of the user's cache that its handler is going to fetch, unless there is a query.
    cached: tuple[str, ...] = ()

    @property
    def use_case(self) -> str:
        """Name of the span around the handler, such as ``tasks.give_evidence``."""
        return f"{self.handler.__module__.split('.')[1]}.{self.handler.__name__}"


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a request and the ids in its path."""

    route: Route
    params: Mapping[str, int]


@dataclass(slots=True)
class _Node:
    routes: dict[str, Route] = field(default_factory=dict)
    literal: dict[str, _Node] = field(default_factory=dict)
    param: tuple[str, _Node] | None = None


_NO_PARAMS: Final[Mapping[str, int]] = {}


class RouteTable:
    """Looks up a path in time that does not grow with the number of routes.

    A template's ``{name}`` stands for one positive 64-bit integer; anything else there is 404.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes: tuple[Route, ...] = tuple(routes)
        self._root = _Node()
        self._static: dict[tuple[str, str], Match] = {}
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if not isinstance(route.policy, Policy):
            raise TypeError(f"{route.method} {route.template} has no policy")
        node = self._root
        for segment in route.template.strip("/").split("/"):
            if segment.startswith("{"):
                if node.param is None:
                    node.param = (segment[1:-1], _Node())
                node = node.param[1]
            else:
                node = node.literal.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"two routes for {route.method} {route.template}")
        node.routes[route.method] = route
        if "{" not in route.template:
            self._static[route.method, route.template] = Match(route, _NO_PARAMS)

    def match(self, method: str, path: str) -> Match:
        """The route of a request; HEAD is answered by GET's. Raises NotFound, MethodNotAllowed."""
        if method == "HEAD":
            method = "GET"
        found = self._static.get((method, path))
        if found is not None:
            return found
        node, params = self._walk(path)
        route = node.routes.get(method)
        if route is None:
            allowed = ", ".join(self.methods(node.routes))
            raise MethodNotAllowed(
                f"{path_excerpt(path)} takes {allowed}.", headers={"Allow": allowed}
            )
        return Match(route, params)

    def allowed(self, path: str) -> list[str]:
        """The methods that a path takes; raises NotFound."""
        return self.methods(self._walk(path)[0].routes)

    @staticmethod
    def methods(routes: Mapping[str, Route]) -> list[str]:
        """The methods of a path, with those that come for free."""
        extra = ["HEAD", "OPTIONS"] if "GET" in routes else ["OPTIONS"]
        return sorted([*routes, *extra])

    def _walk(self, path: str) -> tuple[_Node, dict[str, int]]:
        node, params = self._root, {}
        if not path.startswith("/"):
            raise NotFound
        for segment in path[1:].split("/"):
            child = node.literal.get(segment)
            if child is None and node.param is not None:
                name, child = node.param
                params[name] = _id(segment)
            if child is None:
                raise NotFound
            node = child
        if not node.routes:
            raise NotFound
        return node, params


def _id(segment: str) -> int:
    if segment.isascii() and segment.isdigit() and len(segment) <= 19 and segment[0] != "0":
        number = int(segment)
        if number <= MAX_ID:
            return number
    raise NotFound


def origin_form(target: str) -> str:
    """Path and query of a request's target: whoever takes us for a proxy sends our address as well.

    RFC 9112 §3.2.2 wants that accepted.
    """
    found = _ADDRESS.match(target)
    if found is None:
        return target
    rest = target[found.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def path_excerpt(path: str) -> str:
    """A path that is fit to be shown: bounded, printable."""
    return "".join(c for c in path[:80] if c.isprintable())
