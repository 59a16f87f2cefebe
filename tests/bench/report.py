"""The figures as one page that needs nothing else: bars as SVG, for light and dark screens."""

from __future__ import annotations

from html import escape
from typing import Final

from tests.bench.bars import Rounds, Verdict, median
from tests.bench.measure import WORK, Run

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6470; --paper: #fff; --line: #d7dce2;
  --ours: #1668c7; --theirs: #a9b4c0; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --soft: #a3acb8; --paper: #14171b;
  --line: #333a43; --ours: #5ea8ff; --theirs: #5c6773; --bad: #ff8a80; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 13px; }
svg .soft { fill: var(--soft); } .ours { fill: var(--ours); } .theirs { fill: var(--theirs); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } .missed { color: var(--bad); }
p { color: var(--soft); }
"""
_HEAD: Final = (
    "Program", "p50 ms", "p99 ms", "CPU µs server", "PostgreSQL", "Redis", "MB",
)  # fmt: skip


def page(
    rounds: Rounds, verdicts: list[Verdict], labels: dict[str, str], versions: dict[str, str]
) -> str:
    """HTML."""
    number = max(len(runs) for by in rounds.values() for runs in by.values())
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width"><title>GTSD beside its peers</title>',
        f"<style>{_STYLE}</style><h1>GTSD beside its peers</h1>",
        f"<p>Requests a second of one process, 32 connections; medians of {number} rounds.</p>",
    ]
    for work, runs in rounds.items():
        medians = {name: median(figures) for name, figures in runs.items()}
        parts += [f"<h2>{WORK[work]}</h2>", _chart(medians, labels), _table(medians, labels)]
    parts += ["<h2>Ratios that are wanted</h2>", _verdicts(verdicts, labels)]
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "".join([*parts, f"<p>{escape(told)}</p></html>\n"])


def _chart(medians: dict[str, Run], labels: dict[str, str]) -> str:
    most = max(run.rate for run in medians.values())
    ordered = sorted(medians.items(), key=lambda item: -item[1].rate)
    rows = []
    for place, (name, run) in enumerate(ordered):
        y, width = place * 30, 440 * run.rate / most
        kind = "ours" if labels[name].startswith("GTSD") else "theirs"
        rows.append(
            f'<text x="0" y="{y + 19}">{escape(labels[name])}</text>'
            f'<rect class="{kind}" x="240" y="{y + 4}" width="{width:.1f}" height="22" rx="3"/>'
            f'<text class="soft" x="{246 + width:.1f}" y="{y + 19}">{run.rate:,.0f}/s</text>'
        )
    height = 30 * len(ordered)
    return f'<svg viewBox="0 0 760 {height}" role="img">{"".join(rows)}</svg>'


def _table(medians: dict[str, Run], labels: dict[str, str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    rows = "".join(
        f"<tr><td>{escape(labels[name])}</td><td>{run.p50_ms:.1f}</td><td>{run.p99_ms:.1f}</td>"
        f"<td>{run.cpu_server:.0f}</td><td>{run.cpu_postgres:.0f}</td><td>{run.cpu_redis:.0f}</td>"
        f"<td>{run.memory_mb:.0f}</td></tr>"
        for name, run in medians.items()
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _verdicts(verdicts: list[Verdict], labels: dict[str, str]) -> str:
    rows = "".join(
        f'<tr class="{"" if met else "missed"}"><td>{WORK[bar.work]}, beside '
        f"{escape(labels[bar.peer])}</td><td>{found:.2f}</td><td>{bar.least:g}</td>"
        f"<td>{'met' if met else 'not met'}</td></tr>"
        for bar, found, met in verdicts
    )
    head = "<tr><th></th><th>found</th><th>wanted</th><th></th></tr>"
    return f"<table>{head}{rows}</table>"
