"""``gtsd jobs``: failed jobs are seen, tried again or given up."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from gtsd.__main__ import run
from tests.support.environments import DEVELOPMENT

CANARY = "canary@example.org"


@pytest.fixture
def dead(jobs: Any) -> Any:
    """One job that has failed for good and one that waits."""
    jobs.add("fail", CANARY, key="k")
    jobs.ask("UPDATE procrastinate_jobs SET status = 'doing'")
    jobs.ask("UPDATE procrastinate_jobs SET status = 'failed', attempts = 4")
    jobs.add("write", "w")
    return jobs


def call(jobs: Any, *words: str) -> tuple[int, str]:
    """Exit status and output."""
    out = io.StringIO()
    environ = {**DEVELOPMENT, "DATABASE_URL": jobs.url}
    return run(["jobs", *words], environ, out, out), out.getvalue()


def _ids(jobs: Any, name: str) -> str:
    return str(jobs.ask(f"SELECT id FROM procrastinate_jobs WHERE task_name = '{name}'"))


def test_dead_jobs_are_listed_without_what_they_are_about(dead: Any) -> None:
    """Arguments may be addresses and tokens."""
    status, text = call(dead, "list")
    assert status == 0
    assert "fail" in text
    assert "write" not in text
    assert CANARY not in text
    status, text = call(dead, "list", "--state", "all", "--json")
    shown = [(job["job"], job["state"], job["tries"]) for job in json.loads(text)]
    assert shown == [("write", "waiting", 0), ("fail", "dead", 4)]


def test_an_empty_list_says_so(jobs: Any) -> None:
    """Rather than nothing."""
    assert call(jobs, "list") == (0, "There are no dead jobs.\n")


def test_a_dead_job_is_tried_again_from_the_start(dead: Any) -> None:
    """It has all of its tries before it."""
    number = _ids(dead, "fail")
    assert call(dead, "retry", number) == (0, f"{number}: waits again\n")
    assert dead.state("fail") == ("todo", 0)
    assert call(dead, "retry", number)[0] == 1


def test_a_dead_job_whose_key_waits_is_not_tried_again(dead: Any) -> None:
    """The one that waits does the same."""
    dead.add("fail", "other", key="k")
    number = dead.ask("SELECT id FROM procrastinate_jobs WHERE status = 'failed'")
    status, text = call(dead, "retry", "--dead")
    assert status == 1
    assert text == f"{number}: another job with its key waits already; discard this one\n"


def test_a_job_is_given_up(dead: Any) -> None:
    """A dead one or one that waits, but none that runs."""
    assert call(dead, "discard", "--dead")[0] == 0
    assert dead.state("fail") is None
    dead.ask("UPDATE procrastinate_jobs SET status = 'doing'")
    status, text = call(dead, "discard", _ids(dead, "write"))
    assert status == 1
    assert text.endswith("there is no such job in a state that allows it\n")


def test_a_database_that_is_away_is_told(jobs: Any) -> None:
    """In a sentence, with status 1."""
    jobs.url = "postgresql://gtsd:gtsd@127.0.0.1:1/gtsd"
    status, text = call(jobs, "list")
    assert status == 1
    assert text.startswith("The database does not answer")
