"""The settings of commands that connect as the owner of the tables."""

from __future__ import annotations

from collections.abc import Mapping

from gtsd.settings import TABLE, Problem, Settings, SettingsError
from gtsd.settings_reading import collect
from gtsd.settings_rules import broken

# What they read: they run without the secrets that only the API needs.
_OURS = ("APP_ENV", "DATABASE_URL", "APP_VERSION")


def owner_settings(environ: Mapping[str, str]) -> Settings:
    """The few that count there, held to the same rules as in the API; raises SettingsError."""
    values, problems = collect(TABLE, environ)
    settings = Settings(**values)
    names = {setting.field: setting.env for setting in TABLE}
    problems += [
        Problem(names[field].name, sentence, names[field].assignment)
        for field, sentence in broken(settings)
    ]
    # The first one of a variable; what follows from it is not news.
    ours = {p.variable: p for p in reversed(problems) if p.variable in _OURS}
    if ours:
        raise SettingsError(list(ours.values()))
    return settings
