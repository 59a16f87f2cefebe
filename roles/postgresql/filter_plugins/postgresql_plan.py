"""What has to be said to PostgreSQL so that its roles and rights are as wanted.

The state is read by one query, compared here, and only differences become statements. A password is
sent as the verifier that PostgreSQL stores: no log, statistics or network sees the password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from datetime import datetime
from typing import Any

ITERATIONS = 4096
FLAGS = ("super", "createdb", "createrole", "replication", "bypassrls", "login", "inherit")


def identifier(name: str) -> str:
    """The name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """What PostgreSQL stores of a password (RFC 5803). ASCII only: others would need SASLprep."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client = hmac.new(salted, b"Client Key", "sha256").digest()
    server = hmac.new(salted, b"Server Key", "sha256").digest()
    stored = hashlib.sha256(client).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def is_verifier_of(kept: str | None, password: str) -> bool:
    """Whether the stored verifier is of this password."""
    found = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)", kept or "")
    if found is None:
        return False
    return hmac.compare_digest(
        verifier(password, base64.b64decode(found[2]), int(found[1])), kept or ""
    )


def role_statements(state: dict[str, Any], wanted: list[dict[str, Any]]) -> list[str]:
    """Make the roles that are missing, and put right those that differ."""
    said: list[str] = []
    for role in wanted:
        said += _role(state["roles"].get(role["name"]), role)
    return said


def _role(have: dict[str, Any] | None, role: dict[str, Any]) -> list[str]:
    name = identifier(role["name"])
    flags = dict.fromkeys(FLAGS, False) | {"login": True, "inherit": True}
    flags["replication"] = role.get("replication", False)
    limit = int(role.get("connections", -1))
    said = []
    if have is None:
        said.append(f"CREATE ROLE {name}")
        have = {"verifier": None, "settings": [], "member_of": [], "limit": None}
    if any(have.get(flag) != value for flag, value in flags.items()) or have["limit"] != limit:
        words = " ".join(("" if value else "NO") + _word(flag) for flag, value in flags.items())
        said.append(f"ALTER ROLE {name} WITH {words} CONNECTION LIMIT {limit}")
    if not is_verifier_of(have["verifier"], role["password"]):
        said.append(
            f"ALTER ROLE {name} PASSWORD {literal(verifier(role['password'], os.urandom(16)))}"
        )
    said += _settings(name, have["settings"] or [], role.get("settings", {}))
    said += _memberships(name, set(have["member_of"] or []), set(role.get("member_of", [])))
    return said


def _word(flag: str) -> str:
    return "SUPERUSER" if flag == "super" else flag.upper()


def _settings(name: str, have: list[str], wanted: dict[str, str]) -> list[str]:
    kept = dict(setting.split("=", 1) for setting in have)
    said = [f"ALTER ROLE {name} RESET {key}" for key in sorted(kept.keys() - wanted.keys())]
    return said + [
        f"ALTER ROLE {name} SET {key} = {literal(str(value))}"
        for key, value in wanted.items()
        if kept.get(key) != str(value)
    ]


def _memberships(name: str, have: set[str], wanted: set[str]) -> list[str]:
    said = [f"REVOKE {identifier(group)} FROM {name}" for group in sorted(have - wanted)]
    return said + [f"GRANT {identifier(group)} TO {name}" for group in sorted(wanted - have)]


def grant_statements(
    have: list[list[str]], wanted: list[dict[str, Any]], owner: str, thing: str, lead: str = ""
) -> list[str]:
    """Grant what is wanted on one thing and revoke whatever else somebody but its owner has.

    ``have`` lists [who, privilege]; PUBLIC is the empty name. ``lead`` goes before each statement.
    """
    kept: dict[str, set[str]] = {}
    for who, privilege in have:
        if who != owner:
            kept.setdefault(who, set()).add(privilege)
    rights = {grant["role"]: set(grant["may"]) for grant in wanted}
    said = []
    for who in sorted(kept.keys() | rights.keys()):
        more = rights.get(who, set()) - kept.get(who, set())
        less = kept.get(who, set()) - rights.get(who, set())
        named = identifier(who) if who else "PUBLIC"
        if less:
            said.append(f"{lead}REVOKE {', '.join(sorted(less))} ON {thing} FROM {named}")
        if more:
            said.append(f"{lead}GRANT {', '.join(sorted(more))} ON {thing} TO {named}")
    return said


def database_statements(state: dict[str, Any], grants: dict[str, Any]) -> list[str]:
    """Owners of databases and who may connect. What does not exist yet is made by others."""
    said = []
    for wanted in grants["databases"]:
        have = state["databases"][wanted["name"]]
        thing = f"DATABASE {identifier(wanted['name'])}"
        if have["owner"] != wanted["owner"]:
            said.append(f"ALTER {thing} OWNER TO {identifier(wanted['owner'])}")
        said += grant_statements(have["acl"] or [], wanted["to"], wanted["owner"], thing)
    return said


def schema_statements(state: dict[str, Any], grants: dict[str, Any]) -> list[str]:
    """Inside the database: the schema's owner, who may use it, and what the owner's things give."""
    wanted, said = grants["schema"], []
    owner = wanted["owner"]
    if state["schema"]["owner"] != owner:
        said.append(f"ALTER SCHEMA public OWNER TO {identifier(owner)}")
    said += grant_statements(state["schema"]["acl"] or [], wanted["to"], owner, "SCHEMA public")
    lead = f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(owner)} IN SCHEMA public "
    for kind in ("tables", "sequences"):
        have = state["default"].get(kind) or []
        said += grant_statements(have, grants[kind], owner, kind.upper(), lead)
    return said


def told(statements: list[str]) -> list[str]:
    """The statements as one may show them."""
    return [re.sub(r"'SCRAM-[^']*'", "'(not shown)'", statement) for statement in statements]


def seconds(timestamp: str) -> int:
    """Seconds since 1970 of what systemd writes: ``Sun 2026-11-22 22:18:53 UTC``; 0 of none."""
    words = timestamp.split()
    if len(words) != 4:
        return 0
    return int(datetime.fromisoformat(f"{words[1]} {words[2]}+00:00").timestamp())


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Any]:
        """The filters by name."""
        return {
            "postgresql_roles": role_statements,
            "postgresql_databases": database_statements,
            "postgresql_schema": schema_statements,
            "postgresql_told": told,
            "postgresql_seconds": seconds,
        }
