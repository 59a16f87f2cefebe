"""Texts become values, or a sentence that says what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtsd import settings_kinds as kind

LEVEL = kind.choice("debug", "warn", also={"warning": "warn"})


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (kind.whole(0, 65535), "0", 0),
        (kind.whole(0, 65535), "065535", 65535),
        (kind.seconds(0.1, 60), "0.1", 0.1),
        (kind.seconds(0.1, 60), "60", 60.0),
        (kind.flag, "TRUE", True),
        (kind.flag, "on", True),
        (kind.flag, "0", False),
        (LEVEL, "WARNING", "warn"),
        (LEVEL, "debug", "debug"),
        (kind.label, "v1.2.3-rc.1+4f2a9c1", "v1.2.3-rc.1+4f2a9c1"),
        (kind.label, "${GITHUB_SHA}", "${GITHUB_SHA}"),
        (kind.secret, "with space inside", "with space inside"),
        (kind.key, "k" * 32, "k" * 32),
        (kind.key, "é" * 16, "é" * 16),
        (kind.address, "::1", "::1"),
        (kind.address, "0.0.0.0", "0.0.0.0"),  # noqa: S104 - nothing listens here
        (kind.address, "localhost", "127.0.0.1"),
        (kind.http_url, "https://otel.example:4318/", "https://otel.example:4318"),
        (kind.http_url, "http://[::1]:9000", "http://[::1]:9000"),
        (kind.origins, "https://a.example, http://localhost:5173,", None),
        (kind.origins, "*", ("*",)),
        (kind.origins, "https://A.example:443/", ("https://a.example",)),
        (kind.origins, "http://a.example:80,http://a.example:81", None),
        (kind.origins, "http://[::1]:3000", ("http://[::1]:3000",)),
        (kind.origins, "capacitor://localhost", ("capacitor://localhost",)),
        (kind.networks, "10.0.0.0/8, fd00::/8", ("10.0.0.0/8", "fd00::/8")),
        (kind.networks, "127.0.0.1", ("127.0.0.1/32",)),
    ],
)
def test_a_good_text_becomes_its_value(
    parse: Callable[[str], Any], text: str, value: object
) -> None:
    """The forms that people write are understood; a list without a given value has two items."""
    found = parse(text)
    if value is None:
        assert len(found) == 2
    else:
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("parse", "text", "wanted"),
    [
        (kind.whole(1, 9), "10", "whole number from 1 to 9"),
        (kind.whole(1, 9), "0", "whole number from 1 to 9"),
        (kind.whole(1, 9), "1.0", "whole number"),
        (kind.whole(1, 9), "+1", "whole number"),
        (kind.whole(-9, 9), "-1", "whole number"),
        (kind.whole(1, 9999), "1_000", "whole number"),
        (kind.whole(1, 9), "٣", "whole number"),
        (kind.whole(1, 9), "9" * 5000, "whole number"),
        (kind.seconds(0, 60), "5s", "number of seconds, without the unit, from 0 to 60"),
        (kind.seconds(0, 60), "60.1", "from 0 to 60"),
        (kind.seconds(0, 60), "-1", "from 0 to 60"),
        (kind.number(0, 1), "nan", "number from 0 to 1"),
        (kind.number(0, 1), "inf", "number from 0 to 1"),
        (kind.number(0, 1), "1e-3", "number from 0 to 1"),
        (kind.number(0, 1), ".5", "number from 0 to 1"),
        (kind.flag, "maybe", "true or false"),
        (LEVEL, "loud", "one of debug, warn, warning"),
        (kind.label, "two words", "without spaces"),
        (kind.label, "x" * 101, "at most 100"),
        (kind.label, "é", "ASCII"),
        (kind.secret, " x", "space or a line break"),
        (kind.secret, "x\n", "space or a line break"),
        (kind.key, "k" * 31, "at least 32 bytes"),
        (kind.key, "k" * 32 + " ", "space or a line break"),
        (kind.address, "api.example.org", "IP address"),
        (kind.address, "127.0.0.1:3000", "IP address"),
        (kind.http_url, "otel.example:4318", "https:// or http://"),
        (kind.http_url, "grpc://otel.example:4317", "https:// or http://"),
        (kind.http_url, "https://", "https:// or http://"),
        (kind.http_url, "https://a.example:port", "not a URL"),
        (kind.http_url, "https://[::1", "not a URL"),
        (kind.http_url, "https://u:p@a.example", "no login"),
        (kind.http_url, "https://a.example/?key=1", "no query"),
        (kind.http_url, "https://a.example/#key", "no fragment"),
        (kind.origins, "a.example", "comma list of origins"),
        (kind.origins, "null", "comma list of origins"),
        (kind.origins, "https://a.example/path", "comma list of origins"),
        (kind.origins, "https://*.example", "comma list of origins"),
        (kind.origins, "https://u@a.example", "comma list of origins"),
        (kind.origins, "https://a.example?x=1", "comma list of origins"),
        (kind.origins, "https://a.example:port", "comma list of origins"),
        (kind.networks, "10.0.0.1/8", "without host bits"),
        (kind.networks, "proxies.example", "comma list of networks"),
    ],
)
def test_a_bad_text_is_told_what_was_wanted(
    parse: Callable[[str], Any], text: str, wanted: str
) -> None:
    """The sentence follows the variable's name; quoting the value is left to who knows it."""
    with pytest.raises(ValueError, match=r"^(must|is|has|cannot) ") as caught:
        parse(text)
    assert wanted in str(caught.value)


PARSERS = [
    kind.whole(0, 10),
    kind.seconds(0, 10),
    kind.flag,
    LEVEL,
    kind.label,
    kind.secret,
    kind.key,
    kind.address,
    kind.postgres_url,
    kind.redis_url,
    kind.http_url,
    kind.smtp_url,
    kind.mailbox,
    kind.sms_sender,
    kind.origins,
    kind.networks,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text(min_size=1))
def test_any_text_is_read_or_refused_in_one_way(parse: Callable[[str], Any], text: str) -> None:
    """Whatever a variable holds, nothing but ValueError comes out."""
    try:
        parse(text)
    except ValueError as error:
        assert type(error) is ValueError  # not of a library, which would quote the value


@pytest.mark.parametrize(
    "parse", [kind.postgres_url, kind.redis_url, kind.smtp_url, kind.http_url, kind.origins]
)
@given(
    scheme=st.sampled_from(
        ["postgresql", "redis", "rediss", "unix", "smtp", "smtps", "file", "http", "https"]
    ),
    rest=st.text(alphabet="ab1:/@?#[]%,=&.-+\x00é ", max_size=25),
)
def test_any_url_is_read_or_refused_in_one_way(
    parse: Callable[[str], Any], scheme: str, rest: str
) -> None:
    """The same, nearer to what the parsers look into."""
    try:
        parse(f"{scheme}://{rest}")
    except ValueError as error:
        assert type(error) is ValueError
