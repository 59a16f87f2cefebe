"""The environment that the deployment guide documents is one that boots."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from gtsd.__main__ import run
from tests.support.environments import DATABASE_PASSWORD, JWT_SECRET, REDIS_PASSWORD

# The guide's block, in its order. `user:password@host` and the keys of the object store are
# placeholders there; so are GITHUB_SHA and APP_VERSION, which an environment file does not expand.
GUIDE = f"""
DATABASE_URL=postgresql://user:{DATABASE_PASSWORD}@host:5432/database?sslmode=require
REDIS_URL=rediss://user:{REDIS_PASSWORD}@host:6379
S3_ENDPOINT=https://s3.amazonaws.com
S3_ACCESS_KEY_ID=AKQ2MZX8W4
S3_SECRET_ACCESS_KEY=w8Rk2cYv7TqPz4
S3_BUCKET=gtsd-production
S3_REGION=us-east-1
OTEL_EXPORTER_OTLP_ENDPOINT=https://your-otel-collector:4318
OTEL_SERVICE_NAME=gtsd-api-production
PORT=3000
NODE_ENV=production
LOG_LEVEL=info
GIT_SHA=${{GITHUB_SHA}}
APP_VERSION=${{APP_VERSION}}
"""
# What the guide shows first, "for production" replaced by what stands above.
LAX = {
    "DATABASE_URL": f"postgresql://user:{DATABASE_PASSWORD}@host:5432/database",
    "REDIS_URL": f"redis://user:{REDIS_PASSWORD}@host:6379",
}


def guide() -> dict[str, str]:
    """The block as an environment, with the signing secret that the guide does not know."""
    pairs = (line.split("=", 1) for line in GUIDE.split())
    return {**dict(pairs), "JWT_SECRET": JWT_SECRET}


def check(environ: dict[str, str]) -> tuple[int, dict[str, object]]:
    """Exit status and answer of ``gtsd check --json``."""
    out = io.StringIO()
    status = run(["check", "--json"], environ, out, out)
    return status, json.loads(out.getvalue())


def test_the_documented_environment_boots() -> None:
    """In production, under all of its names, NODE_ENV included (fault 20)."""
    status, answer = check(guide())
    assert status == 0, answer
    settings = answer["settings"]
    assert isinstance(settings, dict)
    assert settings["APP_ENV"] == "production"
    assert settings["DATABASE_URL"] == "postgresql://user:***@host:5432/database?sslmode=require"
    assert settings["REDIS_URL"] == "rediss://user:***@host:6379/"
    assert settings["OTEL_SERVICE_NAME"] == "gtsd-api-production"


def test_the_example_file_boots_with_its_secrets_as_credentials(tmp_path: Path) -> None:
    """As a unit of ours runs: EnvironmentFile from the example, LoadCredential for secrets."""
    for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET"):
        (tmp_path / name.lower()).write_text(guide()[name])
    example = Path(__file__).parents[3] / "systemd" / "gtsd.env.example"
    lines = [line for line in example.read_text().splitlines() if line and line[0] != "#"]
    environ = dict(line.split("=", 1) for line in lines)
    status, answer = check({**environ, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert status == 0, answer
    assert check(environ)[0] == 2


def test_the_placeholders_of_the_guide_do_not_boot() -> None:
    """The control: the passwords that stand in the guide are known to everybody."""
    environ = {
        **guide(),
        "DATABASE_URL": "postgresql://user:password@host:5432/database?sslmode=require",
        "REDIS_URL": "rediss://user:password@host:6379",
        "S3_ACCESS_KEY_ID": "your_access_key",
        "S3_SECRET_ACCESS_KEY": "your_secret_key",
    }
    status, answer = check(environ)
    assert status == 2
    problems = answer["problems"]
    assert isinstance(problems, list)
    assert {problem["variable"] for problem in problems} == environ.keys() & {
        "DATABASE_URL",
        "REDIS_URL",
        "S3_ACCESS_KEY_ID",
        "S3_SECRET_ACCESS_KEY",
    }


@pytest.mark.parametrize("name", LAX)
def test_the_lax_lines_of_the_guide_are_for_development(name: str) -> None:
    """Without TLS to another host: refused in production, accepted elsewhere."""
    assert check({**guide(), name: LAX[name]})[0] == 2
    assert check({**guide(), name: LAX[name], "NODE_ENV": "development"})[0] == 0
