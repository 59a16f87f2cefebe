"""What `gtsd dev` says once it answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gtsd.dev.demo import DemoPerson

_JSON: Final = "-H 'Content-Type: application/json'"
_SIGNED_IN: Final = '-H "Authorization: Bearer $TOKEN"'


def banner(url: str, person: DemoPerson, folder: Path, own: Sequence[str], mails: str) -> str:
    """``own`` are the servers that we brought along, with their data in ``folder``.

    ``mails`` is where mails go, without a password.
    """
    servers = f"{', '.join(own)} in {folder}" if own else "all servers from the environment"
    lines = [
        "",
        f"  GTSD answers on {url}",
        f"  Development store: {servers}. Not for production. Ctrl-C stops everything.",
        "",
        f"  API page   {url}/docs",
        f"  Sign in    {person.email}   {person.password}",
        f"  Mails      {mails}",
        "",
        "  Sign in, see today's tasks, and prove that one was done:",
        "",
        *curl_lines(url, person),
        "",
    ]
    if shutil.which("curl") is None:
        lines[-1:] = ["  curl is missing here; on Debian: sudo apt-get install -y curl", ""]
    return "\n".join(lines) + "\n"


def curl_lines(url: str, person: DemoPerson) -> list[str]:
    """Three lines for a POSIX shell; the first one sets TOKEN for the other two."""
    login = json.dumps({"email": person.email, "password": person.password})
    proof = json.dumps(
        {"taskId": person.task_id, "type": "text_log", "data": {"text": "Done before breakfast"}}
    )
    pick = r"""sed -E 's/.*"accessToken": ?"([^"]+)".*/\1/'"""
    return [
        f"TOKEN=$(curl -s {url}/auth/login {_JSON} -d '{login}' | {pick})",
        f"curl -s {url}/v1/tasks/today {_SIGNED_IN}; echo",
        f"curl -s {url}/v1/evidence {_SIGNED_IN} {_JSON} -d '{proof}'; echo",
    ]
