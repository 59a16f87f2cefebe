"""What pgBackRest 2.45 and PostgreSQL 15 said of each kind of damage, and what we make of it."""

from __future__ import annotations

import pytest

from gtsd.drill import messages
from gtsd.drill.errors import Cause, DrillError

_RETRY = "\n       [FormatError] on retry after 0ms"
_BROKEN = [
    f"ERROR: [029]: raised from local-1 protocol: lz4 error: [-16] ERROR_decompression{_RETRY}",
    "ERROR: [095]: raised from local-1 protocol: cipher header invalid",
    "ERROR: [095]: raised from local-1 protocol: unable to flush\n       [CryptoError] on retry",
]
_VERIFIED = """\
P00   INFO: verify command begin 2.45
P01   INFO: invalid result 15-1/0000000100000000/000000010000000000000004-59d8.lz4: [29] raised
            [FormatError] on retry after 0ms
P01   INFO: invalid checksum '20261128-185020F/pg_data/base/1/1255.lz4'
P00   INFO: stanza: gtsd
"""
_LOG = """\
LOG:  starting archive recovery
ERROR: [042]: unable to get 000000010000000000000004:
       repo1: 15-1/0000000100000000/000000010000000000000004-59d8.lz4 {}
LOG:  redo done at 0/3FFFF98
"""
_NAMES = ["20261128-185020F/pg_data/base/1/1255.lz4"]


def _no_names() -> list[str]:
    return pytest.fail("pgBackRest had named it")


@pytest.mark.parametrize("said", _BROKEN)
def test_damage_without_a_name_is_looked_up(said: str) -> None:
    """And where that finds nothing, it is still damage."""
    error = messages.of_restore(said, 0, lambda: _NAMES)
    assert (error.cause, str(error)) == (Cause.DAMAGED, f"damaged in the repository: {_NAMES[0]}")
    assert "does not say which" in str(messages.of_restore(said, 0, list))


@pytest.mark.parametrize(
    ("said", "cause", "says"),
    [
        (
            "ERROR: [026]: error restoring '/x/base/12': checksum 'a' does not match expected 'b'",
            Cause.DAMAGED,
            "damaged in the repository: /x/base/12",
        ),
        (
            "ERROR: [029]: unable to load backup manifest file '/r/backup.manifest' or '/r/copy':",
            Cause.DAMAGED,
            "/r/backup.manifest",
        ),
        (
            "ERROR: [055]: raised from local-1: unable to open missing file '/r/x.lz4' for read",
            Cause.DAMAGED,
            "lacks the file /r/x.lz4",
        ),
        (
            "ERROR: [064]: raised from local-1 protocol: unable to write '/d/base/4/2840'",
            Cause.DISK_FULL,
            "3 MB are free",
        ),
        (
            "ERROR: [049]: unable to connect to 'b1:8432': [111] Connection refused",
            Cause.REPOSITORY,
            "unable to connect to 'b1:8432'",
        ),
    ],
)
def test_each_failure_of_a_restore_is_told_apart(said: str, cause: Cause, says: str) -> None:
    """Nothing is looked up where pgBackRest says it all."""
    error = messages.of_restore(said, 3_000_000, _no_names)
    assert error.cause is cause
    assert says in str(error)


def test_what_verify_found_is_read() -> None:
    """Files of backups and of the archive; a sound repository has none."""
    assert messages.verified(_VERIFIED) == [
        "15-1/0000000100000000/000000010000000000000004-59d8.lz4",
        *_NAMES,
    ]
    assert messages.verified("P00   INFO: stanza: gtsd\n            status: ok\n") == []


def _early(log: str) -> list[DrillError]:
    return [messages.of_server(log, 0), messages.of_stop(log, 0, "0" * 24, "0/3FFFF98")]


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        ("[FormatError] lz4 error: [-16] ERROR_decompressionFailed", Cause.DAMAGED),
        ("[CryptoError] unable to flush", Cause.DAMAGED),
        ("[HostConnectError] unable to connect", Cause.REPOSITORY),
    ],
)
def test_a_segment_that_cannot_be_read_is_named(why: str, cause: Cause) -> None:
    """Whether PostgreSQL gave up or took it for the end: a damaged one, or one not to be had."""
    for error in _early(_LOG.format(why)):
        assert error.cause is cause
        assert "000000010000000000000004" in str(error)


def test_a_full_disk_is_told_from_all_else() -> None:
    """It can hit PostgreSQL, or pgBackRest on its behalf."""
    for said in (
        'FATAL:  could not write to file "base/5/1": No space left on device',
        "ERROR: [064]: unable to write '/d/pg_wal/RECOVERYXLOG'",
    ):
        assert [error.cause for error in _early(said)] == [Cause.DISK_FULL, Cause.DISK_FULL]


def test_an_early_end_is_told_without_any_error() -> None:
    """WAL that reads well and is none, or ends before the backup did."""
    error = messages.of_stop("LOG:  redo done", 0, "000000010000000000000009", "0/3FFFF98")
    assert error.cause is Cause.WAL_MISSING
    assert "stopped at 0/3FFFF98, before the newest WAL segment 000000010000000000000009" in str(
        error
    )
    error = messages.of_server("FATAL:  WAL ends before end of online backup", 0)
    assert error.cause is Cause.WAL_MISSING


def test_other_words_of_postgresql_are_handed_on() -> None:
    """The last of the fatal ones, but for those to us who asked; some servers end without any."""
    log = (
        "FATAL:  could not load library\nLOG:  startup process exited\n"
        "FATAL:  the database system is starting up\n"
    )
    error = messages.of_server(log, 0)
    assert error.cause is Cause.SERVER
    assert str(error).endswith("could not load library")
    assert "without a word" in str(messages.of_server("", 0))


def test_a_sentence_stays_one_line_without_noise() -> None:
    """With a wrong key pgBackRest quotes what it decrypted."""
    assert messages.short("a\x1b[2J\nb\t\x00c") == "a [2J b c"
    assert len(messages.short("x" * 5000)) == 301
    assert messages.sentence("WARN: x\nERROR: [031]: option 'y'\n  HINT") == "option 'y'"


def test_many_damaged_files_make_no_long_sentence() -> None:
    """Three are enough to begin with."""
    assert str(messages.damaged([f"f{n}" for n in range(9)])).endswith("f0, f1, f2 and 6 more")
