"""The OpenAPI 3.1 document, made from the route table and the types that validate.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from http.client import responses
from typing import Any, Final

import msgspec

from gtsd.web.answers import ErrorBody
from gtsd.web.routes import MAX_ID, Limited, Policy, Route, RouteTable

_PLAIN: Final[dict[str, Any]] = {"string": "…", "integer": 1, "number": 1.5, "boolean": True}
_REF: Final = "#/components/schemas/{name}"
_INTRODUCTION: Final = """\
A person sets a goal, gets a plan, sees the tasks due today, attaches evidence that they were \
done, and keeps a streak.

Sign up or log in, then send `Authorization: Bearer <accessToken>`. Every success is \
`{"success": true, "data": …}`, every error `{"success": false, "error": {…}}` with a stable \
`code` and the `requestId` to quote. A POST that creates takes an `Idempotency-Key`: send the same \
one again when you saw no answer.
"""
_TAGS: Final = {
    "accounts": "Sign up, log in, stay signed in.",
    "profile": "What I say about myself, and the numbers that come of it.",
    "plans": "A week at a time: its targets and its daily tasks.",
    "tasks": "What is due, and that it was done.",
    "streaks": "Days in a row.",
    "photos": "Pictures of one's progress, without where they were taken.",
    "badges": "What was achieved, once and for ever.",
    "messages": "For the provider of text messages.",
    "ops": "For load balancers and monitoring.",
}
# Bodies whose fields depend on each other, or say too little alone; all others are put together
# from the examples of their fields.
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "LogIn": {"email": "ada@example.com", "password": "Correct-horse-7"},
    "AccountChange": {"name": "Ada King", "timezone": "Europe/London"},
    "PasswordChange": {"currentPassword": "Correct-horse-7", "newPassword": "Better-battery-8"},
    "DeleteAccount": {"password": "Correct-horse-7"},
    "NewTask": {"title": "Read ten pages", "dueTime": "06:15", "priority": "high"},
    "TaskChange": {"title": "Read twenty pages", "priority": "high"},
    "Onboarding": {
        "dateOfBirth": "1990-05-17",
        "gender": "male",
        "primaryGoal": "lose_weight",
        "currentWeight": 85.55,
        "targetWeight": 78,
        "height": 175,
        "targetDate": "2027-06-30",
        "activityLevel": "very_active",
        "mealsPerDay": 4,
        "partners": [{"name": "Charles Babbage", "email": "charles@example.com"}],
    },
    "ProfileChange": {"health": {"currentWeight": 84.2}},
    "GeneratePlan": {},
    "Skip": {"reason": "On the road all day"},
    "CheckCompliance": {},
    "NewEvidence": {
        "taskId": 1,
        "type": "text_log",
        "data": {"text": "Middlemarch, pages 1 to 10"},
        "notes": "Before breakfast",
    },
    "NewUpload": {"fileName": "front.jpg", "contentType": "image/jpeg", "fileSize": 2481152},
    "Confirmation": {
        "fileKey": "uploads/1/0123456789abcdef0123456789abcdef.jpg",
        "evidenceType": "before",
        "takenAt": "2026-11-22T18:39:44+01:00",
    },
}


def document(table: RouteTable, version: str) -> dict[str, Any]:
    """The whole document as plain JSON values."""
    routes = [route for route in table.routes if route.tag in _TAGS]
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "GTSD API", "version": version, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "headers": {
                "RequestId": {
                    "description": "Quote it when you report a problem.",
                    "schema": {"type": "string", "maxLength": 128},
                }
            },
        },
    }


class _Schemas:
    """The shapes of all routes; each named one is described once."""

    def __init__(self, routes: list[Route]) -> None:
        shapes: list[Any] = [ErrorBody]
        for route in routes:
            shapes += [shape for shape in (route.body, route.query, route.answer) if shape]
        self._shapes = list(dict.fromkeys(shapes))
        found, self.components = msgspec.json.schema_components(self._shapes, ref_template=_REF)
        self._schemas = dict(zip(self._shapes, found, strict=True))

    def of(self, shape: Any) -> dict[str, Any]:
        """The schema of a shape, mostly a reference."""
        schema: dict[str, Any] = self._schemas[shape]
        return schema

    def properties(self, shape: Any) -> dict[str, Any]:
        """The properties of a shape, by name."""
        properties: dict[str, Any] = self.components[shape.__name__]["properties"]
        return properties

    def example(self, schema: dict[str, Any]) -> Any:
        """A value that fits a schema: what its fields give as examples, required ones first."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return _BODIES[name] if name in _BODIES else self.example(self.components[name])
        if "examples" in schema:
            return schema["examples"][0]
        if schema.get("type") != "object":
            return _PLAIN[schema["type"]]
        required = schema["required"]
        shown = required + [
            name
            for name, field in schema["properties"].items()
            if "examples" in field and name not in required
        ]
        return {name: self.example(schema["properties"][name]) for name in shown}


def operation_id(route: Route) -> str:
    """Unique and stable: method and path in camel case."""
    words = route.template.replace("{", "by-").replace("}", "").replace("/", "-").split("-")
    return route.method.lower() + "".join(word[:1].upper() + word[1:] for word in words if word)


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if route.policy is Policy.USER:
        shown["security"] = [{"accessToken": []}]
    if route.body is not None:
        fields = msgspec.structs.fields(route.body)
        schema = schemas.of(route.body)
        shown["requestBody"] = {
            "required": any(field.required for field in fields),
            "content": {route.body_type: {"schema": schema, "example": schemas.example(schema)}},
        }
    return shown


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for segment in route.template.split("/"):
        if segment.startswith("{"):
            schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
            text = "As it came in an answer."
            shown.append(
                {
                    "name": segment[1:-1],
                    "in": "path",
                    "required": True,
                    "description": text,
                    "schema": schema,
                }
            )
    if route.query is not None:
        shown += [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in schemas.properties(route.query).items()
        ]
    if route.creates:
        text = "Makes the request safe to repeat; any unique text, for example a UUID."
        schema = {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"}
        shown.append(
            {"name": "Idempotency-Key", "in": "header", "description": text, "schema": schema}
        )
    return shown


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    answer = _success(route, schemas)
    shown = {
        str(status): _response(status, answer, route.media_type)
        for status in (route.status, *route.also)
    }
    if route.policy is Policy.USER and route.method == "GET":
        shown["304"] = {"description": "Not Modified"}
    if route.policy is Policy.OPS:
        if 503 in route.refusals:
            shown["503"] = _response(503, schemas.of(route.answer), route.media_type)
        return shown
    error = schemas.of(ErrorBody)
    for status in sorted(refusals(route)):
        shown[str(status)] = _response(status, error, "application/json")
    return shown


def refusals(route: Route) -> set[int]:
    """Every error status that a route may answer with."""
    found = {429, 500, 503, *route.refusals}
    if route.policy is Policy.USER:
        found |= {401, 403}
    if route.body is not None:
        found |= {400, 413, 415}
    if route.query is not None:
        found.add(400)
    if "{" in route.template:
        found.add(404)
    if route.creates:
        found |= {400, 409, 422}
    if route.limit is Limited.AUTH_WRITE:
        found.add(429)
    return found


def _success(route: Route, schemas: _Schemas) -> dict[str, Any] | None:
    if route.answer is None:
        return None
    if not route.enveloped:
        return schemas.of(route.answer)
    return {
        "type": "object",
        "properties": {"success": {"const": True}, "data": schemas.of(route.answer)},
        "required": ["success", "data"],
        "additionalProperties": False,
    }


def _response(status: int, schema: dict[str, Any] | None, media_type: str) -> dict[str, Any]:
    return {
        "description": responses[status],
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}},
        "content": {media_type: {"schema": schema} if schema is not None else {}},
    }
