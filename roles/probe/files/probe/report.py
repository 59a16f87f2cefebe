"""One page about a run, for people who were not there; and the same for machines."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

from probe import chart, story
from probe.errors import ProbeError
from probe.folder import Folder
from probe.story import Events, Story

_WIDTHS: Final = {"wide": 960, "narrow": 380}
_ROWS: Final = 60
_FAILURES: Final = 20
_HEADLINES: Final = {
    "released": "Released",
    "reverted": "Reverted",
    "rolled back": "Rolled back",
    "failed": "Failed",
    "": "Watched",
}


def write(folder: Folder, events_file: Path | None, out: Path) -> str:
    """Write the page and, beside it, history.json; a sentence of what they tell.

    Raises ProbeError for events that cannot be read, and where nothing ran.
    """
    events = story.read_events(events_file)
    told = story.tell(folder, events)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        out.write_text(page(told, events))
        machines = story.for_machines(told, events)
        out.with_name("history.json").write_text(json.dumps(machines, indent=2) + "\n")
    except OSError as error:
        raise ProbeError(f"--out {out}: {error.strerror}") from error
    return story.summary(told)


def page(told: Story, events: Events) -> str:
    """The page as HTML that needs nothing else. All text is escaped."""
    # Only the report needs it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": chart.clock,
        "ms": story.milliseconds,
        "moment": _moment,
        "shown": _shown,
    }
    charts = {name: chart.draw(told, events.marks, width) for name, width in _WIDTHS.items()}
    template = environment.get_template("page.html.j2")
    return template.render(
        story=told,
        events=events,
        headline=_HEADLINES[events.verdict],
        # Green only where nobody noticed.
        mood="good" if events.verdict in {"released", "rolled back", ""} and not told.failed
        else "mixed" if events.verdict != "failed" and not told.failed else "bad",
        summary=story.summary(told),
        charts=charts,
        described=chart.described(told, events.marks),
        bins=chart.bins(told, _ROWS),
        failures=told.failures[:_FAILURES],
        minutes=_duration(told.ended - told.began),
    )  # fmt: skip


def _moment(at: float | None) -> str:
    return "–" if at is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _shown(value: Any) -> str:
    """A value of the ledger's record for people."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict) else None)
