"""What the README and the API page tell people to type works as it stands, on a real process."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.web.docs import CLIENTS
from tests.support.belongings import JPEG
from tests.support.client import PASSWORD
from tests.support.process import ROOT, Served, environment, serving

HERE = "http://127.0.0.1:3000"
CLIENT_OF = {"client.sh": "bash", "client.py": sys.executable}
SHOWN = re.compile(r"<h3>[^<]*: ([\w.]+)</h3>\s*<pre>(.*?)</pre>", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.skipif(
    not Path("/usr/bin/curl").exists(),
    reason="curl is missing; run this once: sudo apt-get install curl",
)


@pytest.fixture(scope="module")
def served(
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
    object_store: EmbeddedObjectStore,
    _migrated_template: str,
) -> Iterator[Served]:
    """A process with all its stores."""
    environ = environment(
        postgres_server.create_database("clients", _migrated_template),
        REDIS_URL=redis_server.url,
        S3_ENDPOINT=object_store.url,
        S3_ACCESS_KEY_ID=object_store.access_key_id,
        S3_SECRET_ACCESS_KEY=object_store.secret_access_key,
        S3_BUCKET=object_store.bucket,
    )
    with serving(environ) as process:
        yield process
    postgres_server.drop_database("clients")


def base_of(served: Served) -> str:
    """Where the server is."""
    return f"http://127.0.0.1:{served.port}"


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A program of a person who has nothing but a shell."""
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def readme(served: Served) -> str:
    """All that the README says of using the API, for this server."""
    section = (ROOT / "README.md").read_text().split("\n## Use it\n")[1].split("\n## ")[0]
    script = "".join(SHELL.findall(section))
    assert HERE in script
    return script.replace(HERE, base_of(served))


def test_the_readme_leads_to_a_task_of_today(served: Served, tmp_path: Path) -> None:
    """Each line does what it is there for, so nothing that is printed is a refusal."""
    script = readme(served)
    done = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"success":false' not in done.stdout
    printed = script.count("curl ") - script.count("$(curl ")
    assert done.stdout.count('"success":true') == printed >= 3
    # Once where it was made, and once in the day.
    assert done.stdout.count("Read ten pages") == 2


def test_a_readme_that_has_aged_is_found(served: Served, tmp_path: Path) -> None:
    """The control: a path that was renamed is a refusal in what is printed."""
    old = readme(served).replace("/v1/tasks/today", "/v1/tasks/now").replace("ann@", "old@")
    done = run(["bash", "-euo", "pipefail", "-c", old], tmp_path)
    assert '"success":false' in done.stdout


@pytest.fixture(scope="module")
def shown(served: Served) -> dict[str, str]:
    """The clients as the page shows them, by name."""
    page = served.get("/docs").body.decode()
    return {name: html.unescape(text) for name, text in SHOWN.findall(page)}


def test_the_page_shows_the_clients_as_they_are(shown: dict[str, str]) -> None:
    """The README leads to the same text."""
    assert set(shown) == set(CLIENTS)
    for name, text in shown.items():
        assert text == (ROOT / "service/gtsd/web/page" / name).read_text()
        assert f"](service/gtsd/web/page/{name})" in (ROOT / "README.md").read_text()
        assert HERE in text


def zone_at(hour: int) -> str:
    """A zone in which it is that hour now: what is left of a day depends on it."""
    ahead = (hour - datetime.now(UTC).hour) % 24
    ahead -= 24 if ahead > 14 else 0
    # Zones below Etc have their signs the other way round.
    return f"Etc/GMT{-ahead:+d}"


def at(hour: int, text: str) -> str:
    """The client of a person for whom it is that hour."""
    assert "Europe/Berlin" in text
    return text.replace("Europe/Berlin", zone_at(hour))


def run_client(
    name: str, text: str, email: str, served: Served, folder: Path
) -> subprocess.CompletedProcess[str]:
    """A client as somebody has copied it from the page, beside a photo."""
    (folder / name).write_text(text)
    (folder / "front.jpg").write_bytes(JPEG)
    return run([CLIENT_OF[name], name, email, "front.jpg", base_of(served)], folder)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_goes_the_whole_way(
    served: Served, shown: dict[str, str], tmp_path: Path, name: str
) -> None:
    """From nothing to a proved task with a photo, and the API has all of it."""
    email = f"{name}@example.com"
    done = run_client(name, at(5, shown[name]), email, served, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    login = {"email": email, "password": PASSWORD}
    token = served.call("POST", "/auth/login", login).json["data"]["accessToken"]
    found = {
        path: served.call("GET", path, token=token).json["data"]
        for path in ("/v1/plans/current", "/v1/tasks/today", "/v1/progress/photos")
    }
    assert found["/v1/plans/current"]["totalTasks"] > 0
    assert found["/v1/tasks/today"]["completedTasks"] == 1
    assert len(found["/v1/progress/photos"]["photos"]) == 1


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_of_the_evening_hears_that_the_day_is_over(
    served: Served, shown: dict[str, str], tmp_path: Path, name: str
) -> None:
    """Who comes after the last task of a day has none until tomorrow."""
    email = f"late-{name}@example.com"
    done = run_client(name, at(23, shown[name]), email, served, tmp_path)
    assert done.returncode == 1
    assert "left of today; the first tasks are tomorrow's" in done.stderr


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_ends_with_what_the_api_says(
    served: Served, shown: dict[str, str], tmp_path: Path, name: str
) -> None:
    """The control: a second sign-up with one address is told why."""
    email = f"twice-{name}@example.com"
    served.sign_up(email)
    done = run_client(name, shown[name], email, served, tmp_path)
    assert done.returncode != 0
    assert "email_taken" in done.stdout + done.stderr
