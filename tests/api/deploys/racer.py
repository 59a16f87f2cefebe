"""A process that wants the lease: ``python racer.py URL NAME MODE``.

It says ``ready``, waits for a line, and then tries; it writes its exit code and what it was told.
MODE is ``locked`` (as it is), ``careless`` (it looks at the lease and takes it later, without
having locked it), or ``keep`` (it gets a lease of two seconds and renews it until it is killed).
"""

from __future__ import annotations

import io
import json
import sys
import time

from gtsd.__main__ import run
from gtsd.deploys import lease
from gtsd.deploys.connection import Session

TTL = "2"


def call(url: str, *words: str) -> dict[str, object]:
    out, errors = io.StringIO(), io.StringIO()
    status = run(["deploys", *words, "--json"], {"DATABASE_URL": url}, out, errors)
    return {"status": status, "errors": errors.getvalue(), **json.loads(out.getvalue())}


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def careless(session: Session) -> lease.Lease:
    """How it must not be: between the look and the taking, others look as well."""
    found = lease.Lease(*session.rows(lease._SELECT)[0])
    time.sleep(0.5)
    return found


def main(url: str, name: str, mode: str) -> None:
    if mode == "careless":
        lease.lock = careless
    say("ready")
    sys.stdin.readline()
    words = ["--holder", f"{name} release 1.4.0", "--purpose", "release"]
    if mode == "keep":
        words += ["--ttl", TTL]
    got = call(url, "acquire", *words)
    say(got)
    while mode == "keep":
        say(call(url, "renew", "--token", str(got["token"]), "--ttl", TTL))
        time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
