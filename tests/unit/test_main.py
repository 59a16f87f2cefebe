"""The commands of `gtsd`: what they import, print and return."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from gtsd.__main__ import main, run
from gtsd.check import Reached, example_file
from gtsd.settings import Settings
from gtsd.systemd import Supervisor
from tests.support.environments import DEVELOPMENT, PRODUCTION, random_text


class Outcome(NamedTuple):
    """What one call of the program did."""

    status: int
    out: str
    errors: str


def call(*arguments: str, **environ: str) -> Outcome:
    """Run in this process, with that environment and no other."""
    out, errors = io.StringIO(), io.StringIO()
    return Outcome(run(arguments, environ, out, errors), out.getvalue(), errors.getvalue())


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a module in place of one that a command imports late."""

    def put(name: str, **attributes: Any) -> None:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**attributes))

    return put


def test_check_says_what_is_in_force() -> None:
    """All is well: exit 0."""
    outcome = call("check", **DEVELOPMENT)
    assert outcome.status == 0
    assert "DATABASE_URL=postgresql://gtsd:***@127.0.0.1/gtsd\n" in outcome.out
    assert outcome.errors == ""


def test_check_tells_every_problem_and_exits_2() -> None:
    """On standard output, since it is what was asked for."""
    outcome = call("check", APP_ENV="production", PORT="x")
    assert outcome.status == 2
    assert outcome.out.startswith("3 problems in the settings:\n\nPORT ")
    assert "DATABASE_URL  is missing" in outcome.out
    assert "JWT_SECRET    is missing" in outcome.out
    answer = json.loads(call("check", "--json", APP_ENV="production", PORT="x").out)
    assert [p["variable"] for p in answer["problems"]] == ["PORT", "DATABASE_URL", "JWT_SECRET"]


def test_check_prints_the_example_file_without_any_settings() -> None:
    """It is made on machines that have none."""
    assert call("check", "--example") == Outcome(0, example_file(), "")


@pytest.mark.parametrize(("problem", "status"), [(None, 0), ("refused", 1)])
def test_check_tries_the_servers_when_asked(
    module: Callable[..., None], problem: str | None, status: int
) -> None:
    """Exit 1 says that the settings are right and a server is not there."""
    module("gtsd.check_connect", connect=lambda _: [Reached("PostgreSQL", problem, 5)])
    outcome = call("check", "--connect", **DEVELOPMENT)
    assert outcome.status == status
    assert f"PostgreSQL: {problem or 'connected in 5 ms'}\n" in outcome.out
    assert "PostgreSQL" not in call("check", **DEVELOPMENT).out


def test_serve_hands_settings_and_supervisor_to_the_lifecycle(module: Callable[..., None]) -> None:
    """And its exit status is the lifecycle's."""
    got: list[tuple[Settings, Supervisor]] = []

    async def serve(settings: Settings, supervisor: Supervisor) -> int:
        got.append((settings, supervisor))
        return 7

    module("gtsd.lifecycle", serve=serve)
    assert call("serve", **DEVELOPMENT, WATCHDOG_USEC="10000000") == Outcome(7, "", "")
    settings, supervisor = got[0]
    assert settings.database_url == DEVELOPMENT["DATABASE_URL"]
    assert supervisor.watchdog_interval() == 5.0


def test_serve_with_bad_settings_says_the_same_as_check(module: Callable[..., None]) -> None:
    """On standard error, which the journal keeps; the service is not even imported."""
    module("gtsd.lifecycle")
    outcome = call("serve", APP_ENV="production")
    assert outcome == Outcome(2, "", call("check", APP_ENV="production").out)


def test_serve_with_a_broken_supervisor_exits_2() -> None:
    """What systemd never sends, but a hand-written environment might."""
    outcome = call("serve", **DEVELOPMENT, LISTEN_FDS="three", LISTEN_PID=str(os.getpid()))
    assert outcome == Outcome(2, "", "LISTEN_FDS must be a whole number\n")


def test_migrate_gets_its_own_arguments(module: Callable[..., None]) -> None:
    """Its parser comes from its own module, imported only for it."""

    def register(commands: Any) -> None:
        commands.add_parser("migrate").add_argument("direction")

    def migrate(options: Any, environ: Mapping[str, str]) -> int:
        assert environ["APP_ENV"] == "test"
        return 3 if options.direction == "up" else 4

    module("gtsd.migrate.cli", register=register, main=migrate)
    assert call("migrate", "up", APP_ENV="test").status == 3


def test_dev_and_openapi_run_their_modules(module: Callable[..., None]) -> None:
    """They need no settings: the one brings its own, the other reads code only."""
    module("gtsd.dev.command", main=len)
    module("gtsd.app", document_text=lambda: "{}\n")
    assert call("dev", A="1", B="2").status == 2
    assert call("openapi") == Outcome(0, "{}\n", "")


def test_version_names_release_commit_and_python() -> None:
    """Without any settings, so that it works on a host that is half set up."""
    python = ".".join(map(str, sys.version_info[:3]))
    assert call("version").out == f"gtsd unknown (commit unknown, Python {python})\n"
    outcome = call("version", APP_VERSION="1.4.0", GIT_SHA="4f2a9c1")
    assert outcome.out == f"gtsd 1.4.0 (commit 4f2a9c1, Python {python})\n"


@pytest.mark.parametrize(
    "arguments", [[], ["work"], ["jobs"], ["serve", "now"], ["check", "--connect", "--example"]]
)
def test_what_is_no_command_exits_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the usage on standard error."""
    with pytest.raises(SystemExit) as caught:
        run(arguments, {}, sys.stdout, sys.stderr)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: gtsd")


def test_the_script_reads_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments and environment are taken there and nowhere else."""
    monkeypatch.setattr(sys, "argv", ["gtsd", "version"])
    monkeypatch.setenv("APP_VERSION", "9.9.9")
    assert main() == 0
    assert capsys.readouterr().out.startswith("gtsd 9.9.9 ")


def program(*arguments: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run as users do, in a process of its own."""
    package = Path(sys.modules["gtsd"].__path__[0]).parent
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(package), "PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_program_refuses_production_with_weak_settings() -> None:
    """The whole way: module, exit status, no traceback, no secret in what it says."""
    environ = {**PRODUCTION, "JWT_SECRET": f"{random_text('x')[:4]}hunter22hunter22"}
    completed = program("-m", "gtsd", "serve", environ=environ)
    assert completed.returncode == 2
    assert completed.stderr.startswith("1 problem in the settings:\n\nJWT_SECRET  must have")
    assert "hunter22" not in completed.stderr + completed.stdout
    assert completed.stdout == ""


def test_commands_import_only_what_they_need() -> None:
    """`gtsd check` answers at once, and a host without the embedded servers can run all but dev."""
    heavy = ("tornado", "boto3", "redis", "aiopg", "opentelemetry", "gtsd.dev", "gtsd.migrate")
    code = (
        "import os, sys; from gtsd.__main__ import main; sys.argv = ['gtsd', 'check'];"
        "assert main() == 0;"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    completed = program("-c", code, environ=DEVELOPMENT)
    assert completed.stderr == "[]\n"
