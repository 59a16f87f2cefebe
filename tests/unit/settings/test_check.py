"""What `gtsd check` says, for people and for programs."""

from __future__ import annotations

import json

import pytest

from gtsd import check
from gtsd.settings import TABLE, Problem, read
from tests.support.environments import DEVELOPMENT, PRODUCTION, development, problems
from tests.unit.settings.test_table import CANARIES

PROBLEMS = [
    Problem("PORT", "must be a whole number from 0 to 65535, not 'x'", "PORT=3000"),
    Problem("S3_BUCKET", " ".join(["is missing"] * 20), "S3_BUCKET=" + "b" * 200),
]


def test_problems_are_aligned_and_wrapped() -> None:
    """Variable, problem, example; an example stays on one line, so that it can be copied."""
    text = check.problems_text(PROBLEMS)
    lines = text.splitlines()
    assert lines[:5] == [
        "2 problems in the settings:",
        "",
        "PORT       must be a whole number from 0 to 65535, not 'x'",
        "           example: PORT=3000",
        f"S3_BUCKET  {' '.join(['is missing'] * 8)}",
    ]
    assert lines[-1] == f"           example: S3_BUCKET={'b' * 200}"
    assert all(len(line) <= 100 for line in lines[:-1])
    assert all(line.startswith(" " * 11) for line in lines[5:])
    assert check.problems_text(PROBLEMS[:1]).startswith("1 problem in the settings:\n")


def test_problems_for_programs_have_the_same_three_parts() -> None:
    """And say by one word that there are any."""
    answer = json.loads(check.problems_json(PROBLEMS[:1]))
    assert answer == {
        "ok": False,
        "problems": [
            {
                "variable": "PORT",
                "problem": "must be a whole number from 0 to 65535, not 'x'",
                "example": "PORT=3000",
            }
        ],
    }


def test_the_settings_in_force_are_shown_without_secrets() -> None:
    """Addresses stay readable, and what is a default is marked as one."""
    settings = read(PRODUCTION)
    for text in (check.settings_text(settings), check.settings_json(settings)):
        assert [canary for canary in CANARIES if canary in text] == []
    lines = check.settings_text(settings).splitlines()
    assert "DATABASE_URL=postgresql://api:***@db.example.org:5432/gtsd?sslmode=verify-full" in lines
    assert "REDIS_URL=rediss://api:***@cache.example.org:6379/0" in lines
    assert "JWT_SECRET=***" in lines
    assert "PORT=3000  # default" in lines
    assert "OTEL_SDK_DISABLED=false  # default" in lines
    assert not any(line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT") for line in lines)


def test_the_settings_for_programs_have_every_name() -> None:
    """Those that are not given are null."""
    answer = json.loads(check.settings_json(development()))
    assert answer["ok"] is True
    assert list(answer["settings"]) == [setting.env.name for setting in TABLE]
    assert answer["settings"]["REDIS_URL"] is None
    assert answer["settings"]["GTSD_REDIS_TIMEOUT"] == "0.25"
    assert answer["pool"]["size"] == 20
    assert answer["servers"] == []


@pytest.mark.parametrize(
    ("changes", "arithmetic"),
    [
        ({"GTSD_HOSTS": "3", "GTSD_INSTANCES": "4"}, "6 = min(20, floor((100 / 3 - 6) / 4)), "),
        ({"GTSD_DATABASE_POOL_SIZE": "5", "GTSD_HOSTS": "3"}, "5 as given; 3 hosts * (5 * 1 inst"),
    ],
)
def test_the_size_of_the_pool_is_explained(changes: dict[str, str], arithmetic: str) -> None:
    """With the numbers that it comes from."""
    settings = development(**changes)
    assert check.pool_arithmetic(settings).startswith(arithmetic)
    assert f"pool size: {arithmetic}" in check.settings_text(settings)


@pytest.mark.parametrize(
    ("environ", "mails", "messages"),
    [
        (DEVELOPMENT, "off, as SMTP_URL is not given", "off, as TWILIO_ACCOUNT_SID is not given"),
        (PRODUCTION, "on", "on"),
    ],
)
def test_what_is_not_sent_is_told(environ: dict[str, str], mails: str, messages: str) -> None:
    """Nobody should have to wonder why no mail arrives."""
    settings = read(environ)
    lines = check.settings_text(settings).splitlines()
    assert f"mails: {mails}" in lines
    assert f"text messages: {messages}" in lines
    answer = json.loads(check.settings_json(settings))
    assert answer["senders"] == {"mails": mails == "on", "text messages": messages == "on"}


def test_the_servers_are_told_in_one_line_each() -> None:
    """And one that was not reached makes the whole not ok."""
    reached = [check.Reached("PostgreSQL", None, 3), check.Reached("Redis", "refused", 1)]
    text = check.settings_text(development(), reached)
    assert text.endswith("\nPostgreSQL: connected in 3 ms\nRedis: refused\n")
    answer = json.loads(check.settings_json(development(), reached))
    assert answer["ok"] is False
    assert answer["servers"][1] == {"server": "Redis", "problem": "refused", "milliseconds": 1}


def entries() -> dict[str, str]:
    """The lines of the example file that set something, commented out or not."""
    lines = [line.removeprefix("#") for line in check.example_file().splitlines()]
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith(" "))


def test_the_example_file_boots_once_the_secrets_are_given() -> None:
    """As it is; and with every line of it switched on."""
    secrets = {s.env.name: PRODUCTION[s.env.name] for s in TABLE if s.env.secret}
    needed = {name: secrets[name] for name in ("DATABASE_URL", "JWT_SECRET")}
    active = [line for line in check.example_file().splitlines() if line and line[0] != "#"]
    assert problems({**dict(line.split("=", 1) for line in active), **needed}) == []
    assert active == ["APP_ENV=production"]
    assert problems({**entries(), **secrets}) == []


def test_the_placeholders_of_the_example_file_are_refused() -> None:
    """Copied without thought it must not start in production: every secret is told."""
    found = {problem.variable for problem in problems(entries())}
    assert found == {
        "DATABASE_URL",
        "REDIS_URL",
        "S3_ACCESS_KEY_ID",
        "S3_SECRET_ACCESS_KEY",
        "JWT_SECRET",
        "JWT_SECRET_PREVIOUS",
        "SMTP_URL",
        "TWILIO_AUTH_TOKEN",
    }
    assert problems(dict(DEVELOPMENT)) == []
