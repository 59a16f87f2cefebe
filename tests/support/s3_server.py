"""An object store over HTTPS that judges each call by the policy of its key: moto, in Tornado.

`python -m tests.support.s3_server ADDRESS PORT CERTIFICATE KEY`. Moto's own server ends connections
without a word, which pgBackRest takes for a broken answer.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from tornado.httpserver import HTTPServer
from tornado.wsgi import WSGIContainer


async def main(address: str, port: str, certificate: str, key: str) -> None:
    """Until it is ended."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    application = WSGIContainer(DomainDispatcherApplication(create_backend_app))
    HTTPServer(application, ssl_options=tls).listen(int(port), address)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
