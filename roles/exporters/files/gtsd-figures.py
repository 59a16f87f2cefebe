#!/usr/bin/python3
"""Tell node_exporter what no exporter tells: units, certificates and PgBouncer's pool.

gtsd-figures FILE [PORT USER] writes the file anew, in the text format of Prometheus; where
PgBouncer runs, with the port of its console and who asks. What cannot be asked is left out.
"""

# ruff: noqa: S603 -- what it runs is named here, and no shell is in between
from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PKI = Path("/etc/gtsd/pki")
PUBLIC = Path("/etc/gtsd/tls/fullchain.pem")
GROUPS = Path("/sys/fs/cgroup")
PROPERTIES = "Id,ActiveState,NRestarts,MemoryMax,ControlGroup"
NO_LIMIT = {"", "infinity", str(2**64 - 1), "9223372036854771712"}
# By openssl's words for them.
DATES = {
    "notBefore": "gtsd_certificate_not_before_seconds",
    "notAfter": "gtsd_certificate_not_after_seconds",
}
DATED = re.compile(r'^(gtsd_certificate_not_\w+_seconds)\{leaf="([^"]+)"\} (\S+)$', re.MULTILINE)
HELP = {
    "gtsd_unit_failed": "1 where the unit has failed, else 0.",
    "gtsd_unit_restarts_total": "How often systemd has restarted the unit by itself.",
    "gtsd_unit_memory_bytes": "Memory of the unit that cannot simply be taken back.",
    "gtsd_unit_memory_limit_bytes": "Memory beyond which the unit is ended.",
    "gtsd_certificate_not_before_seconds": "When the certificate on disk begins.",
    "gtsd_certificate_not_after_seconds": "When the certificate on disk ends.",
    "gtsd_certificate_unserved": "1 while a newer certificate waits to be read by its server.",
    "gtsd_pgbouncer_up": "1 where PgBouncer answers, else 0.",
    "gtsd_pgbouncer_clients_waiting": "Transactions that wait for a connection.",
    "gtsd_pgbouncer_wait_seconds": "How long the first of them has waited.",
    "gtsd_pgbouncer_servers_used": "Connections to PostgreSQL in use.",
    "gtsd_pgbouncer_servers_limit": "Connections to PostgreSQL that there may be.",
}

Sample = tuple[str, dict[str, str], float]


def units() -> Iterator[Sample]:
    """Every service that systemd has loaded; of those with a limit their memory."""
    command = ["systemctl", "show", "--all", f"--property={PROPERTIES}", "*.service"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for block in text.split("\n\n"):
        unit = dict(line.partition("=")[::2] for line in block.splitlines())
        if unit.get("ActiveState", "inactive") == "inactive" or "Id" not in unit:
            continue
        label = {"unit": unit["Id"].removesuffix(".service")}
        yield "gtsd_unit_failed", label, unit["ActiveState"] == "failed"
        yield "gtsd_unit_restarts_total", label, float(unit.get("NRestarts") or 0)
        used = memory(unit.get("ControlGroup", ""))
        if unit.get("MemoryMax", "") not in NO_LIMIT and used is not None:
            yield "gtsd_unit_memory_bytes", label, used
            yield "gtsd_unit_memory_limit_bytes", label, float(unit["MemoryMax"])


def memory(group: str) -> float | None:
    """Of a control group, of either version, without the file cache that nobody has used lately."""
    for folder, used, cache in (
        (GROUPS / group.lstrip("/"), "memory.current", "inactive_file"),
        (GROUPS / "memory" / group.lstrip("/"), "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return max(0.0, float((folder / used).read_text()) - float(stat[cache]))
        except (OSError, KeyError):
            continue
    return None


def certificates(written: Path) -> Iterator[Sample]:
    """Those of the internal CA, and the public one of an edge.

    ``written`` is the file of the time before: a certificate that was there by then is not asked
    for its dates again, which took ten programs of openssl a minute for each.
    """
    dates, since = told(written)
    leaves = [(path.parent.name, path) for path in sorted(PKI.glob("*/cert.pem"))]
    for leaf, path in [*leaves, ("public", PUBLIC)]:
        if not path.exists():
            continue
        known = dates.get(leaf) if path.stat().st_ctime < since else None
        for name, date in (known or asked(path)).items():
            yield name, {"leaf": leaf}, date
        waits = (path.parent / "unserved-certificate").exists()
        yield "gtsd_certificate_unserved", {"leaf": leaf}, waits


def asked(path: Path) -> dict[str, float]:
    """The two dates of a certificate by openssl; none where there is no certificate."""
    command = ["openssl", "x509", "-noout", "-startdate", "-enddate", "-in", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {}
    said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return {
        DATES[name]: float(ssl.cert_time_to_seconds(date))
        for name, date in said.items()
        if name in DATES
    }


def told(written: Path) -> tuple[dict[str, dict[str, float]], float]:
    """The dates by leaf that the file holds, and when it was written; of no file, nothing."""
    dates: dict[str, dict[str, float]] = {}
    try:
        since, text = written.stat().st_mtime, written.read_text()
    except FileNotFoundError:
        return {}, 0.0
    for name, leaf, value in DATED.findall(text):
        dates.setdefault(leaf, {})[name] = float(value)
    return dates, since


def pool(port: str, user: str) -> Iterator[Sample]:
    """What PgBouncer's console says to one who may only look."""
    import psycopg2

    secret = (Path(os.environ["CREDENTIALS_DIRECTORY"]) / "pgbouncer").read_text().strip()
    place = f"host=127.0.0.1 port={port} user={user} dbname=pgbouncer connect_timeout=3"
    try:
        link = psycopg2.connect(place, password=secret)
    except psycopg2.Error:
        yield "gtsd_pgbouncer_up", {}, 0
        return
    link.autocommit = True
    yield "gtsd_pgbouncer_up", {}, 1
    pools = [row for row in rows(link, "SHOW POOLS") if row["database"] != "pgbouncer"]
    yield "gtsd_pgbouncer_clients_waiting", {}, sum(row["cl_waiting"] for row in pools)
    yield "gtsd_pgbouncer_wait_seconds", {}, max((row["maxwait"] for row in pools), default=0)
    used = sum(row["sv_active"] + row["sv_tested"] + row["sv_login"] for row in pools)
    yield "gtsd_pgbouncer_servers_used", {}, used
    limits = [
        r["max_connections"] for r in rows(link, "SHOW DATABASES") if r["name"] != "pgbouncer"
    ]
    yield "gtsd_pgbouncer_servers_limit", {}, sum(limits)
    link.close()


def rows(link: object, question: str) -> list[dict[str, Any]]:
    """An answer of the console, by the names of its columns, which are the same in all releases."""
    cursor = link.cursor()  # type: ignore[attr-defined]  # psycopg2 has no types here
    cursor.execute(question)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def page(samples: list[Sample]) -> str:
    """The text format: each family together, with its help."""
    lines: list[str] = []
    for name, text in HELP.items():
        own = [(labels, value) for family, labels, value in samples if family == name]
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"] if own else []
        for labels, value in own:
            told = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{told}}} {float(value)!r}")
    return "".join(f"{line}\n" for line in lines)


def escaped(text: str) -> str:
    """Names of units may hold backslashes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def main() -> int:
    """In place of the old file, at once."""
    target = Path(sys.argv[1])
    fresh = target.with_suffix(".new")
    pooled = pool(*sys.argv[2:4]) if len(sys.argv) > 2 else ()
    fresh.write_text(page([*units(), *certificates(target), *pooled]))
    fresh.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
