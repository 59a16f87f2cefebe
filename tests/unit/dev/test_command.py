"""`gtsd dev` from its start to its end, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from gtsd.dev import host
from tests.unit.dev.processes import alive, all_gone, environment, family, python

# The promise is 3 s on an idle machine; this is for one that runs other tests and measures them.
_SECOND_START = 6.0


class Running:
    """A `gtsd dev` that has told how to use it."""

    def __init__(self, state: Path, **more: str) -> None:
        self.port = host.free_port()
        # Not every machine has the locale that somebody's shell asks for.
        environ = {"LC_ALL": "xx_YY.UTF-8", "PORT": str(self.port), "GTSD_STATE_DIR": str(state)}
        self.worker_log = state / "worker.log"
        began = time.monotonic()
        self.process = python(["-m", "gtsd", "dev"], environment(**environ, **more))
        self.banner = ""
        assert self.process.stdout is not None
        while "/v1/evidence" not in self.banner:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()
            self.banner += line
        assert self.get("/ready")["status"] == "ready"
        self.seconds = time.monotonic() - began
        self.pids = family(self.process.pid)

    def get(self, path: str, token: str = "", body: Any = None) -> Any:
        """What the API answers to that, or to a POST with the body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - always http
            return json.load(answer)

    def wait_for_a_job(self) -> None:
        """Until the worker has done one; there is one every minute, and one at its start."""
        ends = time.monotonic() + 20
        while "a job is done" not in self.worker_log.read_text():
            assert time.monotonic() < ends, self.worker_log.read_text()
            time.sleep(0.05)

    def sign_in(self) -> str:
        """An access token, with what the banner tells."""
        found = re.search(r"Sign in +(\S+) +(\S+)", self.banner)
        assert found
        body = {"email": found[1], "password": found[2]}
        return str(self.get("/auth/login", body=body)["data"]["accessToken"])

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Exit status and what it said on standard error, after a signal to its whole group."""
        os.killpg(self.process.pid, number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


@contextmanager
def running(state: Path, **more: str) -> Iterator[Running]:
    """Killed at the latest when the test fails."""
    dev = Running(state, **more)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.process.kill()
            dev.process.communicate()


def refused(**environ: str) -> str:
    """What it says when it does not start; it must be one sentence and no traceback."""
    process = python(["-m", "gtsd", "dev"], environment(**environ))
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert said.count("\n") == 1
    return said


def test_everything_starts_keeps_its_data_and_stops(server_folder: Path) -> None:
    """Ctrl-C reaches the whole group, as from a terminal; afterwards nothing is left but data."""
    state = server_folder / "state"
    with running(state) as dev:
        token = dev.sign_in()
        today = dev.get("/v1/tasks/today", token)["data"]
        assert today["totalTasks"] > today["completedTasks"]
        assert today["streak"]["current"] > 0
        earned = {badge["code"] for badge in dev.get("/v1/badges/me", token)["data"]["badges"]}
        assert {"first_task", "streak_7", "first_photo"} <= earned
        (photo,) = dev.get("/v1/progress/photos", token)["data"]["photos"]
        with urllib.request.urlopen(photo["downloadUrl"], timeout=10) as file:  # noqa: S310 - always http
            assert file.read().startswith(b"\x89PNG")
        dev.get("/v1/tasks", token, {"title": "Find me again"})
        assert dev.get("/health")["redis"] == "connected"
        dev.wait_for_a_job()
        assert len(dev.pids) > 6
        assert all(alive(pid) for pid in dev.pids)
        assert dev.stop() == (0, "")
        assert all_gone(dev.pids, 0)
    with running(state) as again:
        # The signing secret is the same as well.
        tasks = again.get("/v1/tasks?limit=100", token)["data"]["tasks"]
        assert "Find me again" in {task["title"] for task in tasks}
        assert len(again.get("/v1/progress/photos", token)["data"]["photos"]) == 1
        assert again.seconds < _SECOND_START
        assert again.stop(signal.SIGTERM) == (0, "")
        assert all_gone(again.pids, 0)


@pytest.fixture(scope="module")
def shared(_servers_folder: Path) -> Iterator[Running]:
    """For the tests that leave it as it is."""
    with running(_servers_folder / "dev") as dev:
        yield dev


def test_mails_can_be_read_in_a_folder(shared: Running) -> None:
    """A developer follows the link of a mail without a mail server; the worker has written it."""
    body = {"email": "new@example.com", "password": "Correct-horse-7", "name": "New"}
    shared.get("/auth/signup", body=body)
    found = re.search(r"Mails +file://(\S+)", shared.banner)
    assert found
    ends = time.monotonic() + 20
    while not (kept := list(Path(unquote(found[1])).glob("*.eml"))):
        assert time.monotonic() < ends, shared.worker_log.read_text()
        time.sleep(0.05)
    (mail,) = (message_from_bytes(path.read_bytes(), policy=default) for path in kept)
    assert mail["To"] == "new@example.com"
    plain = mail.get_body(("plain",))
    assert plain is not None
    code = re.search(r"^[0-9]+\.[\w-]{43}\s*$", plain.get_content(), re.MULTILINE)
    assert code
    assert shared.get("/auth/verify-email", body={"token": code[0].strip()})["data"][
        "emailVerified"
    ]


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is missing; run this once: sudo apt-get install curl"
)
def test_the_lines_of_the_banner_work_as_they_are(shared: Running) -> None:
    """People copy them into a shell, one after the other."""
    lines = [line for line in shared.banner.splitlines() if "curl " in line]
    assert len(lines) == 3
    shell = subprocess.run(
        ["sh", "-euc", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1"},
    )
    today, proof = (json.loads(line)["data"] for line in shell.stdout.splitlines())
    assert today["totalTasks"] > 0
    assert proof["task"]["status"] == "completed"


def test_a_second_one_on_the_same_data_is_refused(shared: Running) -> None:
    """It says who is there already."""
    folder = re.search(r" in (/\S+)\. Not for production", shared.banner)
    assert folder
    said = refused(GTSD_STATE_DIR=folder[1], PORT=str(host.free_port()))
    assert f"already runs (process {shared.process.pid})" in said


def test_a_taken_port_is_refused_before_anything_starts(
    shared: Running, server_folder: Path
) -> None:
    """With the way out."""
    said = refused(GTSD_STATE_DIR=str(server_folder), PORT=str(shared.port))
    assert said == f"Port {shared.port} is taken by another program; name a free one: PORT=3001.\n"
    assert not (server_folder / "postgres").exists()


def test_a_folder_that_cannot_be_used_is_named(server_folder: Path) -> None:
    """As `make run` would show it."""
    (server_folder / "file").write_text("")
    said = refused(GTSD_STATE_DIR=str(server_folder / "file"), PORT=str(host.free_port()))
    assert said.startswith(f"The folder {server_folder}/file cannot be used (File exists); name")


def test_production_is_refused(server_folder: Path) -> None:
    """A person whose password is printed must not come into a real database."""
    said = refused(APP_ENV="production", GTSD_STATE_DIR=str(server_folder))
    assert said.startswith("APP_ENV is production, where `gtsd dev` would add a person")


def test_servers_of_the_environment_are_used_instead(
    server_folder: Path, servers: dict[str, str]
) -> None:
    """All of them given: none is started, only the worker and who ends it."""
    with running(server_folder, **servers) as dev:
        assert "all servers from the environment" in dev.banner
        assert len(dev.pids - {dev.process.pid}) == 2
        assert dev.get("/v1/tasks/today", dev.sign_in())["data"]["totalTasks"] > 0
        assert dev.stop() == (0, "")
    left = {path.name for path in server_folder.iterdir()}
    assert left == {"gtsd-dev.lock", "jwt-secret", "worker.log"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_leaves_nothing_behind(
    number: signal.Signals, server_folder: Path
) -> None:
    """Who pressed the wrong key does not want to wait for the banner first."""
    environ = environment(GTSD_STATE_DIR=str(server_folder), PORT=str(host.free_port()))
    process = python(["-m", "gtsd", "dev"], environ)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("starting PostgreSQL")
    pids = family(process.pid)
    os.killpg(process.pid, number)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out, said) == (0, "", "")
    assert all_gone(pids, 0)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(environ["PORT"]))) != 0
