"""The document that /openapi.json serves: valid, whole, and true in its examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gtsd.app import table
from gtsd.errors import BadRequest
from gtsd.web.bodies import decode_body, decode_form
from gtsd.web.routes import FORM_TYPE, Route
from tests.api.conftest import Running

DOCUMENTS = {"/openapi.json", "/docs", "/docs/page.js", "/docs/page.css"}


@pytest.fixture
async def served(service: Running) -> dict[str, Any]:
    """The document as a client gets it."""
    answer = await service.client.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    document: dict[str, Any] = answer.json
    return document


def walk(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document with the way to it."""
    if isinstance(node, dict):
        yield path, node
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in pairs:
        if isinstance(child, dict | list):
            yield from walk(child, f"{path}/{key}")


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every operation of every path."""
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def lost_references(document: dict[str, Any]) -> list[str]:
    """References that lead nowhere."""
    known = {path for path, _ in walk(document)}
    return [at for at, node in walk(document) if "$ref" in node and node["$ref"] not in known]


def untrue_examples(document: dict[str, Any]) -> list[str]:
    """Examples that their own schema refuses, by the way to them."""
    wrong = []
    for at, node in walk(document):
        schema = node.get("schema", node)
        examples = [*node.get("examples", []), *([node["example"]] if "example" in node else [])]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        wrong += [at for example in examples if not validator.is_valid(example)]
    return wrong


def refused_example(route: Route, example: Any) -> str | None:
    """What the service itself says against an example of a body."""
    assert route.body is not None
    try:
        if route.body_type == FORM_TYPE:
            decode_form(urlencode(example).encode(), route.body)
        else:
            decode_body(json.dumps(example).encode(), route.body, 32)
    except BadRequest as error:
        return str(error.fields)
    return None


async def test_the_served_document_is_valid_openapi_3_1(served: dict[str, Any]) -> None:
    """A public validator finds nothing in what is sent."""
    assert served["openapi"] == "3.1.0"
    assert [str(error) for error in OpenAPIV31SpecValidator(served).iter_errors()] == []


async def test_every_served_route_but_the_documents_is_told(
    service: Running, served: dict[str, Any]
) -> None:
    """What the running table has is what the document has."""
    routes = {(route.template, route.method.lower()) for route in service.api._table.routes}
    told = {(path, method) for path, methods in served["paths"].items() for method in methods}
    assert {template for template, _ in routes - told} == DOCUMENTS
    assert told <= routes


async def test_every_operation_has_its_own_id_a_summary_and_a_known_tag(
    served: dict[str, Any],
) -> None:
    """Generators name functions after ids; people find operations by tag and summary."""
    ids = [operation["operationId"] for operation in operations(served)]
    tags = {tag["name"] for tag in served["tags"]}
    assert len(ids) == len(set(ids)) > 20
    for operation in operations(served):
        assert operation["summary"]
        assert len(operation["tags"]) == 1
        assert set(operation["tags"]) <= tags


async def test_every_reference_leads_somewhere(served: dict[str, Any]) -> None:
    """And one that does not is found."""
    assert lost_references(served) == []
    del served["components"]["schemas"]["Task"]
    assert "#/components/schemas/EvidenceGiven/properties/task" in lost_references(served)


async def test_every_example_fits_its_schema(served: dict[str, Any]) -> None:
    """And one that does not is found, in a field as well as in a body."""
    assert untrue_examples(served) == []
    served["components"]["schemas"]["SignUp"]["properties"]["email"]["examples"] = ["nobody"]
    body = served["paths"]["/v1/evidence"]["post"]["requestBody"]["content"]["application/json"]
    body["example"]["taskId"] = "one"
    assert untrue_examples(served) == [
        "#/paths//v1/evidence/post/requestBody/content/application/json",
        "#/components/schemas/SignUp/properties/email",
    ]


async def test_the_service_takes_every_body_that_it_shows(served: dict[str, Any]) -> None:
    """Rules between fields are no part of a schema; evidence of another type is refused."""
    shown = {}
    for route in table().routes:
        if route.body is not None:
            operation = served["paths"][route.template][route.method.lower()]
            body = operation["requestBody"]["content"][route.body_type]
            shown[route.method, route.template] = (route, body["example"])
    assert {key: refused_example(*pair) for key, pair in shown.items()} == dict.fromkeys(shown)
    route, example = shown["POST", "/v1/evidence"]
    assert refused_example(route, {**example, "type": "metrics"}) is not None


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
async def test_documents_are_sent_once(service: Running, path: str) -> None:
    """A client that has the document of this release is told 304, any other gets it anew."""
    first = await service.client.get(path)
    assert first.status == 200
    tag = first.headers["ETag"]
    again = await service.client.get(path, headers={"If-None-Match": tag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    other = await service.client.get(path, headers={"If-None-Match": '"of-another-release"'})
    assert (other.status, other.body) == (200, first.body)
