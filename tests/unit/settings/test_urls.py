"""Addresses of servers: what is in them, what is near, and what may be shown."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn

from gtsd.settings_urls import is_local, mail_address, postgres_address, redis_address


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("/run/postgresql", True),
        ("@gtsd", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens here
        ("localhost.example.org", False),
        ("db", False),
    ],
)
def test_only_the_machine_itself_is_local(host: str, local: bool) -> None:
    """A private network is a network all the same."""
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("url", "hosts", "ports", "masked"),
    [
        (
            "postgres://u:p@h:5432/db?sslmode=require",
            ("h",),
            ("5432",),
            "postgresql://u:***@h:5432/db?sslmode=require",
        ),
        (
            "postgresql://u:p%40%2F@a:1,b:2/db?target_session_attrs=read-write",
            ("a", "b"),
            ("1", "2"),
            "postgresql://u:***@a:1,b:2/db?target_session_attrs=read-write",
        ),
        ("postgresql://a,b:5/db", ("a", "b"), ("", "5"), "postgresql://a,b:5/db"),
        ("postgresql://a,b/db?port=7", ("a", "b"), ("7", "7"), "postgresql://a:7,b:7/db"),
        ("postgresql://u@[::1]:5/db", ("::1",), ("5",), "postgresql://u@[::1]:5/db"),
        (
            "postgresql:///db?host=/run/postgresql&user=u&password=p",
            ("/run/postgresql",),
            ("",),
            "postgresql://u:***@/db?host=/run/postgresql",
        ),
        (
            "postgresql://u:p@%2Frun%2Fpg:6432/db",
            ("/run/pg",),
            ("6432",),
            "postgresql://u:***@/db?host=/run/pg&port=6432",
        ),
        (
            "postgresql://db.example/db?hostaddr=10.0.0.1&sslpassword=x",
            ("10.0.0.1",),
            ("",),
            "postgresql://10.0.0.1/db?hostaddr=10.0.0.1&sslpassword=***",
        ),
        ("postgresql:///db?host=%40gtsd", ("@gtsd",), ("",), "postgresql:///db?host=%40gtsd"),
        ("postgresql://h/db?ssl=true", ("h",), ("",), "postgresql://h/db?sslmode=require"),
    ],
)
def test_a_postgresql_url_is_read_as_libpq_does(
    url: str, hosts: tuple[str, ...], ports: tuple[str, ...], masked: str
) -> None:
    """All forms that the driver takes, and one form to show, which has no password."""
    address = postgres_address(url)
    assert address.hosts == hosts
    assert address.ports == ports
    assert address.database == "db"
    assert address.masked() == masked


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("host=db dbname=gtsd user=u", "starts with postgresql://"),
        ("mysql://u:p@h/db", "starts with postgresql://"),
        ("postgresql://u:p%zz@h/db", "percent-encode"),
        ("postgresql://u:p@h/db?tls=yes", "only libpq's parameters"),
        ("postgresql://u:p@q@h/db", "%40"),
        ("postgresql://u:12/q@h/db", "%2F"),
        ("postgresql://u:p/q@h/db", "%2F"),
        ("postgresql://u:p:q@h:5432x/db", "port as a number"),
        ("postgresql://u:p@/db", "must name each host"),
        ("postgresql://u:p@a,,b/db", "must name each host"),
        ("postgresql://u:p@h", "must name the database"),
        ("postgresql://u:p@a,b,c/db?port=1,2", "one port for all"),
        ("postgresql://u:p@h/db?sslmode=yes", "verify-full"),
        ("postgresql://u:p@h/db?sslmode=", "verify-full"),
    ],
)
def test_a_bad_postgresql_url_is_told_without_its_parts(url: str, wanted: str) -> None:
    """libpq's own message would quote a piece of the password."""
    with pytest.raises(ValueError, match="^(must|has|cannot) ") as caught:
        postgres_address(url)
    assert wanted in str(caught.value)
    assert "p%zz" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "password", "masked"),
    [
        ("redis://h", "h", "", "redis://h/"),
        ("rediss://u:p%2F@h:6380/3", "h", "p/", "rediss://u:***@h:6380/3"),
        ("redis://:p@[::1]:1/", "::1", "p", "redis://:***@[::1]:1/"),
        ("redis://h?password=p&db=1", "h", "p", "redis://:***@h/?password=***&db=1"),
        ("unix:///run/r.sock?db=2", "/run/r.sock", "", "unix:///run/r.sock?db=2"),
        ("unix://u:p@/run/r.sock", "/run/r.sock", "p", "unix://u:***@/run/r.sock"),
        ("redis://h/?a&", "h", "", "redis://h/?a="),
    ],
)
def test_a_redis_url_is_read_as_its_driver_does(
    url: str, host: str, password: str, masked: str
) -> None:
    """With login, database and TLS; a password is found in the query as well."""
    address = redis_address(url)
    assert address.hosts == (host,)
    assert address.password == password
    assert address.masked() == masked


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h", "redis://, rediss:// or unix://"),
        ("h:6379", "redis://, rediss:// or unix://"),
        ("redis://", "name a host"),
        ("redis://u:p@", "name a host"),
        ("redis://h:port", "port as a number"),
        ("redis://u:p/q@h:1", "percent-encode"),
        ("redis://u:1/q@h:1", "%2F"),
        ("redis://u:1?q@h:1", "%3F"),
        ("redis://u:1#q@h:1", "%23"),
        ("redis://h/one", "number of the database"),
        ("redis://[::1", "not a URL"),
        ("unix://", "absolute path"),
        ("unix:///", "absolute path"),
    ],
)
def test_a_bad_redis_url_is_told_without_its_parts(url: str, wanted: str) -> None:
    """The sentence says how it would be right."""
    with pytest.raises(ValueError, match="^(must|has|is) ") as caught:
        redis_address(url)
    assert wanted in str(caught.value)


MARKS = st.text(alphabet="Z5:/@?#[]%,=& é", max_size=8)
# ZQ stands nowhere else in the URLs below.
PASSWORDS = st.builds(lambda before, after: f"{before}ZQ{after}", MARKS, MARKS)


@given(password=PASSWORDS, form=st.sampled_from(["postgresql://u:{}@h/db", "redis://u:{}@h/0"]))
def test_no_password_is_shown_however_it_is_written(password: str, form: str) -> None:
    """Without percent-encoding it may end up as a host or a path, and must not be shown there."""
    read = postgres_address if form.startswith("postgresql") else redis_address
    try:
        address = read(form.format(password))
    except ValueError as error:
        assert "ZQ" not in str(error)
    else:
        assert "ZQ" not in address.masked()
        assert address.hosts == ("h",)


@given(
    user=st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1),
    database=st.text("abc é/", min_size=1),
    hosts=st.lists(st.sampled_from(["a", "10.0.0.1", "::1", "b.example"]), min_size=1, max_size=3),
)
def test_a_masked_url_still_names_the_same_place(
    user: str, database: str, hosts: list[str]
) -> None:
    """What is shown can be pasted, and libpq finds the same user, hosts and database in it."""
    bracketed = ",".join(f"[{host}]" if ":" in host else host for host in hosts)
    url = f"postgresql://{quote(user, safe='')}:pw@{bracketed}/{quote(database, safe='')}"
    shown = postgres_address(url).masked()
    assert parse_dsn(shown) == {**parse_dsn(url), "password": "***"}


@pytest.mark.parametrize(
    ("url", "host", "port", "masked"),
    [
        ("smtp://u:p%40%2F@m.example", "m.example", "587", "smtp://u:***@m.example:587"),
        ("smtps://u:p@m.example", "m.example", "465", "smtps://u:***@m.example:465"),
        ("smtp://[::1]:25", "::1", "25", "smtp://[::1]:25"),
        (
            "smtp://u:p@m.example:2525?ssl_ca_certs=/etc/ca.pem",
            "m.example",
            "2525",
            "smtp://u:***@m.example:2525?ssl_ca_certs=/etc/ca.pem",
        ),
        ("file:///" + "var/mails%20here", "/var/mails here", "", "file:///" + "var/mails here"),
    ],
)
def test_a_mail_server_is_read_and_shown_without_its_password(
    url: str, host: str, port: str, masked: str
) -> None:
    """With the usual port of its scheme where none is given; a folder is shown as one."""
    address = mail_address(url)
    assert (address.hosts, address.ports) == ((host,), (port,))
    assert address.masked() == masked


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("mail.example.org:587", "smtp://, smtps:// or file://"),
        ("smtp://", "must name a host"),
        ("smtp://u@m.example", "both user and password"),
        ("smtp://u:hunter22@m.example/x", "write %23"),
        ("smtp://u:hunt/er22@m.example", "percent-encode"),
        ("smtp://u:hunt#er22@m.example", "percent-encode|write %23|name a host"),
        ("smtp://m.example:x", "percent-encode"),
        ("smtp://m.example?tls=none", "other than ssl_ca_certs"),
        ("file://mails", "absolute path"),
        ("file:///" + "", "absolute path"),
    ],
)
def test_a_bad_mail_server_is_refused_without_quoting_it(url: str, wanted: str) -> None:
    """What is wrong is said; the password is not."""
    with pytest.raises(ValueError, match=wanted) as caught:
        mail_address(url)
    assert "hunt" not in str(caught.value)
