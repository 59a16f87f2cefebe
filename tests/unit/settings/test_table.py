"""The object itself: one declaration for each setting, frozen, and silent about secrets."""

from __future__ import annotations

import os
import pickle
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from gtsd.settings import TABLE, Setting, Settings, read
from tests.support.environments import (
    DATABASE_PASSWORD,
    DEVELOPMENT,
    PRODUCTION,
    REDIS_PASSWORD,
    SMTP_PASSWORD,
    development,
    problems,
)

HINTS = get_type_hints(Settings)
HAS_VALUE = [setting for setting in TABLE if not setting.required and setting.default is not None]


def test_every_name_belongs_to_one_setting() -> None:
    """Old names count as well."""
    names = [name for s in TABLE for name in (s.env.name, s.env.old) if name]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("setting", HAS_VALUE, ids=lambda s: s.env.name)
def test_every_default_could_have_been_given(setting: Setting) -> None:
    """Written out, it is read back as itself: so it is within its own bounds, and of its type."""
    shown = setting.shown(setting.default)
    if shown:
        assert setting.env.parse(shown) == setting.default
    assert msgspec.convert(setting.default, HINTS[setting.field], strict=True) == setting.default


@pytest.mark.parametrize("setting", TABLE, ids=lambda s: s.env.name)
def test_every_declaration_is_complete(setting: Setting) -> None:
    """A sentence that explains, and an example that is accepted, unless it stands for a secret."""
    assert setting.env.meaning.endswith(".")
    if "<" not in setting.env.example and "$" not in setting.env.example:
        value = setting.env.parse(setting.env.example)
        assert msgspec.convert(value, HINTS[setting.field], strict=True) == value
    else:
        assert setting.env.secret


def test_the_settings_cannot_be_changed() -> None:
    """They are read once; whoever needs others reads others."""
    settings: Any = development()
    with pytest.raises(AttributeError):
        settings.port = 1


def test_what_is_not_given_has_the_documented_default() -> None:
    """The figures that the documents promise."""
    settings = development()
    assert (settings.app_env, settings.host, settings.port) == ("development", "127.0.0.1", 3000)
    assert (settings.request_deadline, settings.drain_delay) == (10.0, 2.5)
    assert (settings.limit_anonymous, settings.limit_user) == (100, 200)
    assert (settings.limit_auth_write, settings.limit_heavy) == (10, 20)
    assert (settings.login_failures_account, settings.login_failures_address) == (10, 50)
    assert settings.trusted_proxies == ("127.0.0.1/32", "::1/128")
    assert settings.redis_url is None
    assert not settings.strict


CANARIES = [
    DATABASE_PASSWORD,
    REDIS_PASSWORD,
    PRODUCTION["JWT_SECRET"],
    PRODUCTION["JWT_SECRET_PREVIOUS"],
    PRODUCTION["S3_ACCESS_KEY_ID"],
    PRODUCTION["S3_SECRET_ACCESS_KEY"],
    SMTP_PASSWORD,
    PRODUCTION["TWILIO_AUTH_TOKEN"],
]


def test_no_way_to_print_the_settings_shows_a_secret() -> None:
    """Tracebacks, logs and rich show the repr; what is no secret is in it."""
    settings = read(PRODUCTION)
    printed = [repr(settings), str(settings), f"{settings}", pretty_repr(settings)]
    for text in printed:
        assert [canary for canary in CANARIES if canary in text] == []
        assert "db.example.org" in text
    # The control: what could be printed by mistake does have them all.
    whole = pickle.dumps(msgspec.structs.asdict(settings)).decode("latin-1")
    assert [canary for canary in CANARIES if canary not in whole] == []


def test_settings_made_without_reading_hide_what_they_cannot_parse() -> None:
    """A test may construct them from anything."""
    settings = Settings(database_url="hunter22", redis_url="hunter22", jwt_secret="hunter22")
    assert "hunter22" not in repr(settings)


NAMES = st.sampled_from([name for s in TABLE for name in (s.env.name, f"{s.env.name}_FILE")])
MARKED = st.builds(
    "{}hunter22{}".format, st.text("a1:/@ \n%{", max_size=6), st.text("@/x ", max_size=6)
)
SECRET_NAMES = [s.env.name for s in TABLE if s.env.secret]


@given(
    texts=st.dictionaries(st.sampled_from(SECRET_NAMES), MARKED),
    app_env=st.sampled_from(["development", "production", "x"]),
)
def test_no_problem_tells_a_secret_whatever_is_wrong_with_it(
    texts: dict[str, str], app_env: str
) -> None:
    """All secrets at once are replaced by nonsense that holds a mark."""
    assert "hunter22" not in str(problems({**PRODUCTION, **texts, "APP_ENV": app_env}))


# All that the kernel lets into an environment, as Python shows it: no NUL, any byte.
TEXTS = st.binary(max_size=20).map(lambda b: os.fsdecode(b.replace(b"\0", b"/")))


@given(st.dictionaries(NAMES, TEXTS, max_size=5))
def test_any_environment_is_read_or_refused_in_one_way(texts: dict[str, str]) -> None:
    """Whatever the variables hold, SettingsError is all that comes out."""
    problems({**DEVELOPMENT, **texts})
