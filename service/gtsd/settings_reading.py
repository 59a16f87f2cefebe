"""How the settings are found: in variables, in files, in systemd's credentials; typos are told."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

_PREFIX: Final = "GTSD_"
# Read by `gtsd dev`, and no settings of the service.
_OF_OTHERS: Final = ("GTSD_STATE_DIR",)
_LARGEST_SECRET: Final = 65_536
_SHOWN: Final = 40


class Problem(NamedTuple):
    """One thing that is wrong, and how it would be right."""

    variable: str
    problem: str
    """Follows the name of the variable: "must be …"; never holds a secret."""
    example: str
    """A line for an environment file."""


class SettingsError(Exception):
    """The environment cannot be used; ``problems`` has everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{p.variable} {p.problem}" for p in self.problems))


class Env(NamedTuple):
    """Where a setting comes from and what it means."""

    name: str
    parse: Callable[[str], Any]
    """Raises ValueError with what is wanted."""
    meaning: str
    example: str
    secret: Callable[[str], str] | None = None
    """Makes a secret fit to be shown; None for what is none."""
    old: str | None = None
    """A former name that is still read."""
    section: str | None = None
    """A heading in the example file, at the first setting of a group."""

    @property
    def assignment(self) -> str:
        """A line for an environment file."""
        return f"{self.name}={self.example}"

    @property
    def credential(self) -> str:
        """The name of its file in ``$CREDENTIALS_DIRECTORY``."""
        return self.name.lower()


class Setting(NamedTuple):
    """A field of ``Settings`` and its declaration."""

    field: str
    env: Env
    default: Any

    @property
    def required(self) -> bool:
        """It has no default."""
        return self.default is msgspec.NODEFAULT

    def shown(self, value: Any) -> str:
        """For people to read, in the form of the environment; "" for None; secrets are masked."""
        if value is None:
            return ""
        if self.env.secret:
            return self.env.secret(value)
        if isinstance(value, tuple):
            return ",".join(value)
        if isinstance(value, bool):
            return str(value).lower()
        return f"{value:g}" if isinstance(value, float) else str(value)


class _Given(NamedTuple):
    source: str
    """The name of a variable, or a path."""
    text: str


class _UnusableError(Exception):
    """A source that cannot be used; holds the sentence for people."""


def collect(
    table: Sequence[Setting], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """A value for each field of the table, and all problems with them.

    A field whose value is unusable has its default, or "" where there is none, so that the rules
    about the others can still be tried.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for setting in table:
        try:
            values[setting.field] = _value(setting, environ)
        except _UnusableError as unusable:
            values[setting.field] = _stand_in(setting, environ)
            problems.append(Problem(setting.env.name, str(unusable), setting.env.assignment))
    return values, problems


def typos(table: Sequence[Setting], environ: Mapping[str, str]) -> list[Problem]:
    """Names that look as if they were settings, and are not; ``table`` has all there are."""
    return [*_unknown(table, environ), *_misnamed_credentials(table, environ)]


def _value(setting: Setting, environ: Mapping[str, str]) -> Any:
    given = list(_sources(setting.env, environ))
    if not given:
        if setting.required:
            raise _UnusableError("is missing")
        return setting.default
    if len(given) > 1:
        _refuse_second(setting.env, given)
    source, text = given[0]
    try:
        text.encode()  # what is not UTF-8 comes from the environment as surrogates
    except UnicodeEncodeError:
        raise _UnusableError("is not UTF-8") from None
    try:
        return setting.env.parse(text if setting.env.secret else text.strip())
    except ValueError as wrong:
        where = "" if source == setting.env.name else f" (from {source})"
        shown = "" if setting.env.secret else _quoted(text)
        raise _UnusableError(f"{wrong}{shown}{where}") from None


def _sources(env: Env, environ: Mapping[str, str]) -> Iterator[_Given]:
    for name in filter(None, (env.name, env.old)):
        if text := environ.get(name):
            yield _Given(name, text)
    if not env.secret:
        return
    if path := environ.get(f"{env.name}_FILE"):
        if not path.startswith("/"):
            # It may be the secret itself, put under the wrong name: do not print it.
            raise _UnusableError(f"has a {env.name}_FILE that is not an absolute path")
        if text := _content(Path(path), private=True):
            yield _Given(path, text)
        else:
            raise _UnusableError(f"cannot be read from {path}: the file is empty")
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(folder, env.credential)
        # systemd has set the modes of that folder itself. An empty credential counts as not
        # given, so that a unit can always name an optional one.
        if credential.exists() and (text := _content(credential, private=False)):
            yield _Given(str(credential), text)


def _content(path: Path, *, private: bool) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _UnusableError(f"cannot be read from {path}: it is not a regular file")
        if private and mode & stat.S_IROTH:
            raise _UnusableError(f"comes from {path}, which everybody may read: chmod o-r {path}")
        with path.open("rb") as file:
            content = file.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise _UnusableError(f"cannot be read from {path}: {error.strerror}") from None
    if len(content) > _LARGEST_SECRET:
        raise _UnusableError(f"cannot be read from {path}: it is over {_LARGEST_SECRET} bytes")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _UnusableError(f"cannot be read from {path}: it is not UTF-8") from None


def _refuse_second(env: Env, given: Sequence[_Given]) -> None:
    sources = " and ".join(source for source, _ in given)
    if env.secret:
        raise _UnusableError(f"is given more than once, by {sources}: keep one")
    if len({text.strip() for _, text in given}) > 1:
        raise _UnusableError(
            f"is given more than once and differently, by {sources}: keep {env.name}"
        )


def _stand_in(setting: Setting, environ: Mapping[str, str]) -> Any:
    if setting.field != "app_env":
        return "" if setting.required else setting.default
    # A misspelt environment is held to the strict rules, unless it is clearly a lax one.
    text = environ.get(setting.env.name) or environ.get(setting.env.old or "") or ""
    lax = text.strip().lower().startswith(("dev", "test", "local"))
    return setting.default if lax else "production"


def _unknown(table: Sequence[Setting], environ: Mapping[str, str]) -> Iterator[Problem]:
    known = {s.env.name: s.env for s in table}
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in _OF_OTHERS or name in known:
            continue
        bare = name.removeprefix(_PREFIX)
        near = [bare] if bare in known else difflib.get_close_matches(name, known, 1, 0.7)
        # Its value is not shown: it may be a secret under a wrong name.
        if near:
            sentence = f"is not a setting: did you mean {near[0]}?"
            yield Problem(name, sentence, known[near[0]].assignment)
        else:
            yield Problem(name, "is not a setting: remove it", f"unset {name}")


def _misnamed_credentials(
    table: Sequence[Setting], environ: Mapping[str, str]
) -> Iterator[Problem]:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return
    secrets = {s.env.credential: s.env.name for s in table if s.env.secret}
    try:
        names = sorted(entry.name for entry in Path(folder).iterdir())
    except OSError as error:
        sentence = f"cannot be listed: {folder}: {error.strerror}"
        yield Problem("CREDENTIALS_DIRECTORY", sentence, "LoadCredential=jwt_secret:/etc/gtsd/…")
        return
    for name in names:
        right = name.lower().replace("-", "_")
        if right in secrets and name != right:
            sentence = f"has a credential {name} that is not read: call it {right}"
            example = f"LoadCredential={right}:/etc/gtsd/{right}"
            yield Problem(secrets[right], sentence, example)


def _quoted(text: str) -> str:
    if any(mark in text for mark in "@?#"):
        return ""  # a URL that holds a login or a token by mistake
    shown = repr(text.strip())
    return f", not {shown}" if len(shown) <= _SHOWN else f", not {shown[:_SHOWN]}…"
