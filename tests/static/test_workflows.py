"""What runs at GitHub may do little, keeps its secrets apart, and is one make target a job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

_MAKE = re.compile(r"""^(?:sudo env "PATH=\$PATH" )?make ([a-z-]+)""", re.MULTILINE)
# Whoever else wants to write has a reason that belongs here.
_MAY_WRITE = {
    ("release.yml", "publish", "attestations"),
    ("release.yml", "publish", "contents"),
    ("release.yml", "publish", "id-token"),
    ("release.yml", "staging", "actions"),
    ("deploy.yml", "production", "actions"),
}
Workflow = dict[str, Any]


@pytest.fixture(scope="session")
def workflows(root: Path) -> dict[str, Workflow]:
    """Each by the name of its file."""
    files = sorted((root / ".github" / "workflows").glob("*.yml"))
    return {file.name: yaml.safe_load(file.read_text()) for file in files}


def targets(job: Workflow) -> list[str]:
    """The make targets that a job calls."""
    return [name for step in job["steps"] for name in _MAKE.findall(step.get("run", ""))]


def liberties(name: str, workflow: Workflow) -> Iterator[str]:
    """What a workflow, or a job of it, may do without need."""
    if workflow.get("permissions") != {}:
        yield f"{name}: permissions: {{}} is missing at the top"
    for key, job in workflow["jobs"].items():
        if "permissions" not in job:
            yield f"{name}: {key} does not say its permissions"
        for what, how in job.get("permissions", {}).items():
            if how != "read" and (name, key, what) not in _MAY_WRITE:
                yield f"{name}: {key} may write {what}"
        if "timeout-minutes" not in job:
            yield f"{name}: {key} may run for ever"
        for step in job["steps"]:
            with_ = step.get("with", {})
            if (
                "checkout@" in step.get("uses", "")
                and with_.get("persist-credentials") is not False
            ):
                yield f"{name}: {key} leaves its token in the checkout"


def loose_secrets(name: str, workflow: Workflow) -> Iterator[str]:
    """Secrets that any branch could have, and those that a whole job sees."""
    for key, job in workflow["jobs"].items():
        outside = {what: text for what, text in job.items() if what != "steps"}
        if "secrets." in str(outside):
            yield f"{name}: {key} shows a secret to all of its steps"
        if "secrets." in str(job["steps"]) and "environment" not in job:
            yield f"{name}: {key} has a secret without an environment that guards it"
        for step in job["steps"]:
            if "secrets." in str(step.get("run", "")) + str(step.get("with", "")):
                yield f"{name}: {key} writes a secret into a command"


def test_each_job_of_ci_is_one_make_target(workflows: dict[str, Workflow]) -> None:
    """What fails there fails in the same way on a desk."""
    jobs = workflows["ci.yml"]["jobs"]
    found = {key: targets(job) for key, job in jobs.items() if key != "required"}
    assert all(len(called) == 1 for called in found.values()), found
    wanted = {"lint", "test", "fuzz", "test-versions", "bench-quick", "release-twice", "audit"}
    assert {called[0] for called in found.values()} == wanted


def test_the_required_job_needs_all_others(workflows: dict[str, Workflow]) -> None:
    """A job that was added and forgotten there would be red without a consequence."""
    jobs = workflows["ci.yml"]["jobs"]
    assert set(jobs["required"]["needs"]) == jobs.keys() - {"required"}


def test_the_release_before_is_looked_for_in_the_whole_history(
    workflows: dict[str, Workflow],
) -> None:
    """A shallow checkout has none."""
    checkout = workflows["ci.yml"]["jobs"]["versions"]["steps"][0]
    assert checkout["with"]["fetch-depth"] == 0


def test_nothing_is_published_that_ci_and_a_second_build_did_not_agree_to(
    workflows: dict[str, Workflow],
) -> None:
    """The key is only there, the digest of the other runner is compared, staging comes after it."""
    jobs = workflows["release.yml"]["jobs"]
    assert set(jobs["publish"]["needs"]) == {"verdict", "build"}
    assert jobs["staging"]["needs"] == "publish"
    assert [key for key, job in jobs.items() if "secrets." in str(job)] == ["publish"]
    assert targets(jobs["build"]) == targets(jobs["publish"]) == ["release"]
    runs = [step.get("run", "") for step in jobs["publish"]["steps"]]
    compared, published = (
        next(at for at, run in enumerate(runs) if word in run)
        for word in ("sha256sum --check", "gh release create")
    )
    assert compared < published


def test_a_deployment_is_one_target_in_its_own_environment(workflows: dict[str, Workflow]) -> None:
    """It is never cut off, and tells what it did however it ended."""
    workflow = workflows["deploy.yml"]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert "inputs.environment" in workflow["concurrency"]["group"]
    job = workflow["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.environment }}"
    assert targets(job) == ["deploy", "rollback"]
    last = job["steps"][-1]
    assert ("upload-artifact@" in last["uses"], last["if"]) == (True, "always()")


def test_workflows_may_do_little_and_keep_secrets_apart(workflows: dict[str, Workflow]) -> None:
    """Rights by job, none that stays in a checkout, secrets only behind an environment's rules."""
    for name, workflow in workflows.items():
        assert [*liberties(name, workflow), *loose_secrets(name, workflow)] == []


def test_liberties_and_loose_secrets_are_found() -> None:
    """Each kind of them is told."""
    checkout = {"uses": f"actions/checkout@{'a' * 40}"}
    shown = {"run": "echo ${{ secrets.KEY }}"}
    job = {"permissions": {"contents": "write"}, "steps": [checkout, shown]}
    assert list(liberties("bad.yml", {"jobs": {"a": job, "b": {"steps": []}}})) == [
        "bad.yml: permissions: {} is missing at the top",
        "bad.yml: a may write contents",
        "bad.yml: a may run for ever",
        "bad.yml: a leaves its token in the checkout",
        "bad.yml: b does not say its permissions",
        "bad.yml: b may run for ever",
    ]
    wide = {"env": {"KEY": "${{ secrets.KEY }}"}, "environment": "release", "steps": []}
    assert list(loose_secrets("bad.yml", {"jobs": {"a": job, "b": wide}})) == [
        "bad.yml: a has a secret without an environment that guards it",
        "bad.yml: a writes a secret into a command",
        "bad.yml: b shows a secret to all of its steps",
    ]
