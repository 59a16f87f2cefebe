"""``gtsd check``: what is wrong with the settings, or what they are; never a secret."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from gtsd.settings import POOL_CAP, TABLE, Problem, Setting, Settings

_WIDTH: Final = 100
_HEAD: Final = """
Settings of the GTSD API: all of them, with their defaults. Made by `gtsd check --example`, from
service/gtsd/settings.py. Lines with # in front change nothing; durations are in seconds.

A secret is better not written here: give it as a systemd credential of the name in brackets
(LoadCredential=database_url:/etc/gtsd/credentials/database_url), or put the path of its file,
which others may not read, into the variable with _FILE at its end. Give each in one way only.
"""


class Reached(NamedTuple):
    """Whether a server could be reached; ``problem`` is None when it answered."""

    server: str
    problem: str | None
    milliseconds: int


def problems_text(problems: Sequence[Problem]) -> str:
    """Variable, problem and example of each, aligned; ends with a line break."""
    margin = max(len(problem.variable) for problem in problems) + 2
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the settings:", ""]
    for variable, problem, example in problems:
        lines += textwrap.wrap(
            problem,
            max(_WIDTH, margin + 40),
            initial_indent=variable.ljust(margin),
            subsequent_indent=" " * margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
        # An example is to be copied, so it stays on one line.
        lines.append(f"{' ' * margin}example: {example}")
    return "\n".join(lines) + "\n"


def problems_json(problems: Sequence[Problem]) -> str:
    """The same for machines: ``{"ok": false, "problems": [{variable, problem, example}]}``."""
    return _json({"ok": False, "problems": [problem._asdict() for problem in problems]})


def settings_text(settings: Settings, reached: Sequence[Reached] = ()) -> str:
    """The settings in force, those that have no value left out; then pool and servers."""
    lines = []
    for setting in TABLE:
        shown = settings.shown(setting.field)
        if shown:
            default = getattr(settings, setting.field) == setting.default
            lines.append(f"{setting.env.name}={shown}{'  # default' if default else ''}")
    lines += ["", f"pool size: {pool_arithmetic(settings)}"]
    lines += [
        f"{name}: {'on' if on else f'off, as {variable} is not given'}"
        for name, (on, variable) in _senders(settings).items()
    ]
    lines += [
        f"{server}: {problem or f'connected in {milliseconds} ms'}"
        for server, problem, milliseconds in reached
    ]
    return "\n".join(lines) + "\n"


def settings_json(settings: Settings, reached: Sequence[Reached] = ()) -> str:
    """The same for machines; a setting that is not given is null."""
    return _json(
        {
            "ok": not any(server.problem for server in reached),
            "settings": {s.env.name: settings.shown(s.field) or None for s in TABLE},
            "pool": {"size": settings.pool_size, "arithmetic": pool_arithmetic(settings)},
            "senders": {name: on for name, (on, _) in _senders(settings).items()},
            "servers": [server._asdict() for server in reached],
        }
    )


def _senders(settings: Settings) -> dict[str, tuple[bool, str]]:
    """Whether each way to reach people is on, and the variable that switches it on."""
    return {
        "mails": (settings.smtp_url is not None, "SMTP_URL"),
        "text messages": (settings.twilio_account_sid is not None, "TWILIO_ACCOUNT_SID"),
    }


def pool_arithmetic(settings: Settings) -> str:
    """How the size of the pool comes about, in one line."""
    size, hosts, instances = settings.pool_size, settings.hosts, settings.instances
    budget, worker = settings.database_max_connections, settings.worker_pool_size
    if settings.database_pool_size is not None:
        return (
            f"{size} as given; {hosts} hosts * ({size} * {instances} instances"
            f" + {worker} of the worker) <= {budget}"
        )
    return (
        f"{size} = min({POOL_CAP}, floor(({budget} / {hosts} - {worker}) / {instances})),"
        " from (GTSD_DATABASE_MAX_CONNECTIONS / GTSD_HOSTS - those of the worker) / GTSD_INSTANCES"
    )


def example_file() -> str:
    """The text of ``systemd/gtsd.env.example``."""
    lines = [f"# {line}".rstrip() for line in _HEAD.strip().splitlines()]
    for setting in TABLE:
        if setting.env.section:
            lines += ["", f"# ---- {setting.env.section} ----"]
        lines += ["", *_entry(setting)]
    return "\n".join(lines) + "\n"


def _entry(setting: Setting) -> Iterator[str]:
    env = setting.env
    remarks = []
    if setting.required:
        remarks.append("Required.")
    elif not _default(setting):
        remarks.append("Optional.")
    if env.secret:
        remarks.append(f"Secret [{env.credential}].")
    if env.old:
        remarks.append(f"Its old name {env.old} is read too.")
    for line in textwrap.wrap(
        " ".join([env.meaning, *remarks]), _WIDTH - 2, break_on_hyphens=False
    ):
        yield f"# {line}"
    # The one line that a production host cannot do without, and that is no secret.
    off = "" if setting.field == "app_env" else "#"
    value = env.example if off == "" else _default(setting) or env.example
    yield f"{off}{env.name}={value}"


def _default(setting: Setting) -> str:
    return "" if setting.required else setting.shown(setting.default)


def _json(answer: dict[str, Any]) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False) + "\n"
