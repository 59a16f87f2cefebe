"""The route table and the OpenAPI document say the same, and leave nothing out."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gtsd import app
from gtsd.web.openapi import document
from gtsd.web.routes import Policy, Route, RouteTable


def undocumented(routes: Iterable[Route], described: dict[str, Any]) -> list[str]:
    """Routes that the document does not have, by method and template."""
    paths = described["paths"]
    return [
        f"{route.method} {route.template}"
        for route in routes
        if route.method.lower() not in paths.get(route.template, {})
    ]


def unsafe_to_repeat(routes: Iterable[Route]) -> list[str]:
    """Routes that create something, but take no Idempotency-Key."""
    return [route.template for route in routes if route.status == 201 and not route.creates]


def unlocked(routes: Iterable[Route], described: dict[str, Any]) -> list[str]:
    """Routes for users whose operation does not ask for a token."""
    return [
        route.template
        for route in routes
        if route.policy is Policy.USER
        and not described["paths"][route.template][route.method.lower()].get("security")
    ]


def unserved(text: str, module: str, routes: Iterable[Route]) -> list[str]:
    """Public functions of a handlers module that no route calls, by their full name."""
    served = {f"{r.handler.__module__}.{getattr(r.handler, '__name__', '')}" for r in routes}
    public = (
        f"{module}.{node.name}"
        for node in ast.parse(text).body
        if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_")
    )
    return [name for name in public if name not in served]


@pytest.fixture(scope="module")
def table() -> RouteTable:
    """Every route of the service."""
    return app.table()


@pytest.fixture(scope="module")
def described(table: RouteTable) -> dict[str, Any]:
    """The OpenAPI document."""
    return document(table, "0.0.0")


def test_every_route_is_in_the_document(table: RouteTable, described: dict[str, Any]) -> None:
    """What clients can call is what they can read about, and nothing else is told."""
    assert undocumented(table.routes, described) == []
    told = sum(len(operations) for operations in described["paths"].values())
    assert told == len(table.routes)


def test_the_document_is_valid_openapi(described: dict[str, Any]) -> None:
    """A public validator finds nothing in it."""
    assert [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_every_route_that_creates_is_safe_to_repeat(table: RouteTable) -> None:
    """A client that saw no answer sends the same key again and gets the first answer."""
    assert unsafe_to_repeat(table.routes) == []


def test_every_route_for_users_asks_for_a_token(
    table: RouteTable, described: dict[str, Any]
) -> None:
    """A generated client knows from the document where to send its token."""
    assert unlocked(table.routes, described) == []


def test_every_handler_is_served(table: RouteTable, modules: dict[Path, str]) -> None:
    """A handler that no route calls is dead, or a route was forgotten."""
    handlers = {p.parent.name: text for p, text in modules.items() if p.name == "handlers.py"}
    assert handlers
    found = [
        name
        for feature, text in handlers.items()
        for name in unserved(text, f"gtsd.{feature}.handlers", table.routes)
    ]
    assert not found, "\n".join(found)


def test_forgotten_routes_are_found(table: RouteTable) -> None:
    """A route with an unknown tag is not documented; one without its flag is told as well."""
    create = next(
        route for route in table.routes if route.template == "/v1/tasks" and route.creates
    )
    stray = replace(create, template="/v1/stray", tag="nowhere", creates=False)
    described = document(RouteTable([*table.routes, stray]), "0.0.0")
    assert undocumented([create, stray], described) == ["POST /v1/stray"]
    assert unsafe_to_repeat([create, stray]) == ["/v1/stray"]
    del described["paths"]["/v1/tasks"]["post"]["security"]
    assert unlocked([create], described) == ["/v1/tasks"]
    text = "async def add(): ...\nasync def gone(): ...\nasync def _own(): ...\n"
    assert unserved(text, "gtsd.tasks.handlers", [create]) == ["gtsd.tasks.handlers.gone"]


def test_an_invalid_document_is_found(table: RouteTable) -> None:
    """The validator sees a reference that leads nowhere."""
    described = document(table, "0.0.0")
    described["components"]["schemas"].pop("ErrorBody")
    with pytest.raises(Exception, match="ErrorBody"):
        list(OpenAPIV31SpecValidator(described).iter_errors())
