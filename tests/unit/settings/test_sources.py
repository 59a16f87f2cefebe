"""Where settings are found: variables, files, credentials; and what is told of each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gtsd.settings import TABLE, SettingsError, read
from tests.support.environments import DEVELOPMENT, JWT_SECRET, PRODUCTION, problems, told

SECRETS = [setting.env.name for setting in TABLE if setting.env.secret]
WITHOUT_SECRETS = {name: text for name, text in PRODUCTION.items() if name not in SECRETS}


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with that content and mode, whatever the umask."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_secrets_are_the_ones_that_open_something() -> None:
    """A secret that is missing here would be printed by check and found in a process list."""
    assert SECRETS == [
        "DATABASE_URL",
        "REDIS_URL",
        "S3_ACCESS_KEY_ID",
        "S3_SECRET_ACCESS_KEY",
        "JWT_SECRET",
        "JWT_SECRET_PREVIOUS",
        "SMTP_URL",
        "TWILIO_AUTH_TOKEN",
    ]


def test_every_secret_can_come_from_a_file(tmp_path: Path) -> None:
    """As the variable with _FILE at its end; the line break at the end is not part of it."""
    environ = dict(WITHOUT_SECRETS)
    for name in SECRETS:
        environ[f"{name}_FILE"] = str(written(tmp_path / name, f"{PRODUCTION[name]}\n"))
    assert read(environ) == read(PRODUCTION)


def test_every_secret_can_be_a_systemd_credential(tmp_path: Path) -> None:
    """In a file of its name in lower case, whose mode is systemd's business."""
    for name in SECRETS:
        written(tmp_path / name.lower(), PRODUCTION[name], 0o444)
    assert read({**WITHOUT_SECRETS, "CREDENTIALS_DIRECTORY": str(tmp_path)}) == read(PRODUCTION)


def test_an_empty_variable_counts_as_not_given() -> None:
    """Environment files and compose files cannot leave a variable out."""
    settings = read({**DEVELOPMENT, "REDIS_URL": "", "PORT": "", "JWT_SECRET_FILE": ""})
    assert settings.redis_url is None
    assert settings.port == 3000
    assert told({**DEVELOPMENT, "JWT_SECRET": ""}) == {"JWT_SECRET": "is missing"}


def test_an_empty_credential_counts_as_not_given(tmp_path: Path) -> None:
    """A unit names its credentials once and for all; an optional one may be an empty file."""
    written(tmp_path / "jwt_secret_previous", "")
    settings = read({**DEVELOPMENT, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.jwt_secret_previous is None


def test_an_empty_file_that_was_named_is_a_problem(tmp_path: Path) -> None:
    """Whoever names a file wants its content: to go on without it would hide a failed write."""
    path = written(tmp_path / "redis", "\n")
    found = told({**DEVELOPMENT, "REDIS_URL_FILE": str(path)})
    assert found == {"REDIS_URL": f"cannot be read from {path}: the file is empty"}


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o777])
def test_a_secret_that_everybody_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message names the file and the cure."""
    path = written(tmp_path / "jwt", JWT_SECRET, mode)
    environ = {"DATABASE_URL": DEVELOPMENT["DATABASE_URL"], "JWT_SECRET_FILE": str(path)}
    assert f"chmod o-r {path}" in told(environ)["JWT_SECRET"]
    path.chmod(0o640)
    assert read(environ).jwt_secret == JWT_SECRET


def test_a_file_that_cannot_be_read_is_told_with_its_path(tmp_path: Path) -> None:
    """Missing, a folder, a pipe, too large, not a text: each in one sentence."""
    missing, folder, pipe = tmp_path / "missing", tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe, 0o600)
    large = written(tmp_path / "large", "x" * 65_537)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)
    expected = {
        missing: "No such file",
        folder: "not a regular file",
        pipe: "not a regular file",
        large: "over 65536 bytes",
        binary: "not UTF-8",
    }
    for path, sentence in expected.items():
        found = told({**DEVELOPMENT, "REDIS_URL_FILE": str(path)})["REDIS_URL"]
        assert found.startswith(f"cannot be read from {path}: ")
        assert sentence in found


def test_a_variable_that_is_not_utf8_is_told() -> None:
    """Python hands such bytes over as surrogates, which nothing could print."""
    found = told({**DEVELOPMENT, "JWT_SECRET": os.fsdecode(b"\xff" * 32)})
    assert found == {"JWT_SECRET": "is not UTF-8"}


def test_a_secret_put_where_its_path_belongs_is_not_printed() -> None:
    """The commonest slip with _FILE variables."""
    found = told({**DEVELOPMENT, "REDIS_URL_FILE": PRODUCTION["REDIS_URL"]})
    assert found == {"REDIS_URL": "has a REDIS_URL_FILE that is not an absolute path"}


def test_a_secret_from_two_sources_is_refused_even_when_equal(tmp_path: Path) -> None:
    """After a rotation of one of them nobody would know which one counts."""
    path = written(tmp_path / "jwt_secret", JWT_SECRET)
    found = told({**DEVELOPMENT, "JWT_SECRET_FILE": str(path)})
    assert found == {"JWT_SECRET": f"is given more than once, by JWT_SECRET and {path}: keep one"}
    credential = {**DEVELOPMENT, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert told(credential) == found


def test_the_old_name_of_a_variable_is_read_unless_it_disagrees() -> None:
    """The guide says NODE_ENV."""
    assert read({**DEVELOPMENT, "NODE_ENV": "test"}).app_env == "test"
    assert read({**DEVELOPMENT, "NODE_ENV": "test", "APP_ENV": "test"}).app_env == "test"
    both = {**DEVELOPMENT, "NODE_ENV": "test", "APP_ENV": "development"}
    assert told(both) == {
        "APP_ENV": "is given more than once and differently, by APP_ENV and NODE_ENV: keep APP_ENV"
    }


def test_values_that_are_no_secret_are_quoted_and_cut() -> None:
    """Enough to recognise, and no way to fill a screen or to drive a terminal."""
    assert told({**DEVELOPMENT, "PORT": " 80a "})["PORT"].endswith("65535, not '80a'")
    long = told({**DEVELOPMENT, "PORT": "7\x1b" * 1000})["PORT"]
    assert long.endswith("…")
    assert "\x1b" not in long
    assert len(long) < 100


def test_a_login_in_a_url_that_is_no_secret_is_not_quoted() -> None:
    """Some collectors are given as https://user:token@host."""
    for url in ("https://u:hunter22@otel.example", "https://otel.example?token=hunter22"):
        found = told({**DEVELOPMENT, "OTEL_EXPORTER_OTLP_ENDPOINT": url})
        assert "hunter22" not in str(found)
        assert found.keys() == {"OTEL_EXPORTER_OTLP_ENDPOINT"}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("GTSD_PORT", "PORT"),
        ("GTSD_DRAIN_DELAYS", "GTSD_DRAIN_DELAY"),
        ("GTSD_POOL_SIZE", "GTSD_DATABASE_POOL_SIZE"),
        ("GTSD_JWT_SECRET", "JWT_SECRET"),
        ("GTSD_HOSTS_FILE", "GTSD_HOSTS"),
    ],
)
def test_an_unknown_variable_of_ours_is_told_with_the_nearest(name: str, near: str) -> None:
    """A setting with a typo would silently have its default; its value stays unsaid."""
    found = problems({**DEVELOPMENT, name: "hunter22"})
    assert [p.variable for p in found] == [name]
    assert found[0].problem == f"is not a setting: did you mean {near}?"
    assert found[0].example.startswith(f"{near}=")
    assert "hunter22" not in str(found)


def test_an_unknown_variable_like_none_of_ours_is_to_be_removed() -> None:
    """Variables without our prefix, and the one of `gtsd dev`, are nobody's mistake."""
    fine = {**DEVELOPMENT, "PATH": "/usr/bin", "GTSD_STATE_DIR": "/var/tmp/gtsd"}  # noqa: S108 - not used
    assert told({**fine, "GTSD_Q": "1"}) == {"GTSD_Q": "is not a setting: remove it"}


def test_a_credential_with_almost_the_right_name_is_told(tmp_path: Path) -> None:
    """An optional secret would silently be missing otherwise; other credentials are not ours."""
    written(tmp_path / "REDIS_URL", PRODUCTION["REDIS_URL"])
    written(tmp_path / "jwt-secret-previous", PRODUCTION["JWT_SECRET_PREVIOUS"])
    written(tmp_path / "tls.pem", "x")
    assert told({**DEVELOPMENT, "CREDENTIALS_DIRECTORY": str(tmp_path)}) == {
        "REDIS_URL": "has a credential REDIS_URL that is not read: call it redis_url",
        "JWT_SECRET_PREVIOUS": (
            "has a credential jwt-secret-previous that is not read: call it jwt_secret_previous"
        ),
    }


def test_a_missing_credentials_folder_is_told() -> None:
    """It is set by systemd only together with the folder."""
    found = told({**DEVELOPMENT, "CREDENTIALS_DIRECTORY": "/nonexistent"})
    assert "No such file" in found["CREDENTIALS_DIRECTORY"]


def test_all_problems_are_told_at_once_in_the_order_of_the_table() -> None:
    """One round of editing is enough, whatever kind of problem each is."""
    environ = {
        "NODE_ENV": "production",
        "PORT": "x",
        "DATABASE_URL": "postgresql://user:password@host/db",
        "REDIS_URL": "http://cache",
        "S3_BUCKET": "b",
        "GTSD_INSTANCES": "0",
        "GTSD_CORS_ORIGINS": "*",
        "GTSD_NONSENSE": "1",
    }
    assert [p.variable for p in problems(environ)] == [
        "PORT",
        "DATABASE_URL",
        "GTSD_INSTANCES",
        "REDIS_URL",
        "S3_ENDPOINT",
        "S3_ACCESS_KEY_ID",
        "S3_SECRET_ACCESS_KEY",
        "JWT_SECRET",
        "GTSD_CORS_ORIGINS",
        "GTSD_NONSENSE",
    ]
    with pytest.raises(SettingsError, match="PORT must be .*; JWT_SECRET is missing; "):
        read(environ)


@pytest.mark.parametrize(
    ("text", "strict"), [("prodution", True), ("live", True), ("dev", False), ("Testing", False)]
)
def test_a_misspelt_environment_is_held_to_the_strict_rules(text: str, strict: bool) -> None:
    """So that the first report has everything; unless it is clearly a lax one."""
    found = told({**DEVELOPMENT, "APP_ENV": text})
    assert "must be one of development, test, staging, production" in found["APP_ENV"]
    assert ("DATABASE_URL" in found) is strict


def test_only_a_few_fields_can_be_asked_for() -> None:
    """Whoever migrates needs neither a signing secret nor a valid port, but a safe database."""
    only = ("app_env", "database_url")
    environ = {"DATABASE_URL": "postgresql://u@h/db", "PORT": "x", "GTSD_NONSENSE": "1"}
    assert read(environ, only).database_url == "postgresql://u@h/db"
    with pytest.raises(SettingsError) as caught:
        read({**environ, "APP_ENV": "production"}, only)
    assert [p.variable for p in caught.value.problems] == ["DATABASE_URL"]
