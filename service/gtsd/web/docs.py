"""``/openapi.json`` and ``/docs``: files that never change while the process lives."""

from __future__ import annotations

import html
from importlib.resources.abc import Traversable
from typing import Final

from gtsd.web import headers
from gtsd.web.answers import JSON, Answer
from gtsd.web.call import Call
from gtsd.web.routes import Handler, Policy, Route

# The page runs its own script, asks nobody but this server, and makes no markup out of text.
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# A page of our own: the Swagger UI that Python packages bring along is of the 4.x line, which
# does not show OpenAPI 3.1.
_PAGE: Final = {
    "/docs": ("index.html", "text/html; charset=utf-8"),
    "/docs/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs/page.css": ("page.css", "text/css; charset=utf-8"),
}


# Programs that the page shows; each stands where its name is in a comment.
CLIENTS: Final = ("client.sh", "client.py")


def routes(document: bytes, folder: Traversable) -> list[Route]:
    """The routes of the document and the page; reads the page's files."""
    found = [_route("/openapi.json", _serve(document, JSON, {}))]
    for path, (name, content_type) in _PAGE.items():
        body = (folder / name).read_bytes()
        for client in CLIENTS if path == "/docs" else ():
            text = html.escape((folder / client).read_text())
            body = body.replace(f"<!-- {client} -->".encode(), text.encode())
        serve = _serve(body, content_type, {"Content-Security-Policy": _PAGE_POLICY})
        found.append(_route(path, serve))
    return found


def _route(path: str, handler: Handler) -> Route:
    return Route("GET", path, handler, Policy.PUBLIC, "Documentation", "documents", enveloped=False)


def _serve(body: bytes, content_type: str, extra: dict[str, str]) -> Handler:
    tag = headers.etag(body)
    fixed = {"ETag": tag, "Cache-Control": "no-cache", **extra}

    async def handler(call: Call) -> Answer:
        if headers.matches(call.request.headers.get("If-None-Match"), tag):
            return Answer(304, b"", fixed)
        return Answer(200, body, fixed, content_type)

    return handler
