"""The public edge as clients meet it, the careless and the hostile among them."""

from __future__ import annotations

import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet.machines.shapes import PUBLIC_NAME
from tests.fleet.machines.tested import TestedFleet

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]

HOST = f"Host: {PUBLIC_NAME}\r\n".encode()

# The log is written once a second.
LOG_DELAY_S = 1.5


def speak(fleet: TestedFleet, data: bytes, *, tls: bool = True, name: str = PUBLIC_NAME) -> bytes:
    """Everything that the edge says to these bytes, until it is silent for long or closes."""
    address = fleet.address(fleet.names("edge")[0])
    said = b""
    with socket.create_connection((address, 443 if tls else 80), timeout=14) as raw:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # test_acme.py looks at the certificate
        stream = context.wrap_socket(raw, server_hostname=name) if tls else raw
        stream.sendall(data)
        try:
            while chunk := stream.recv(65536):
                said += chunk
                if said.endswith(b"}") and b"\r\n\r\n" in said:
                    break
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        finally:
            stream.close()
    return said


def envelope(answer: bytes) -> tuple[int, dict[str, str], dict[str, str]]:
    """Status, headers and error of an answer in the API's envelope."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    told = json.loads(body)
    assert told["success"] is False
    assert told["error"]["requestId"] == headers["x-request-id"]
    assert headers["content-type"].partition(";")[0] == "application/json"
    return int(first.split()[1]), headers, told["error"]


def test_the_api_answers_by_http2_with_hsts(fleet: TestedFleet) -> None:
    """Each edge; the header is there once, although the API sends one, too."""
    for edge in fleet.names("edge"):
        done = fleet.outside_curl("/healthz", "--include", edge=edge)
        assert done.stdout.startswith("HTTP/2 200"), done.stdout + done.stderr
        lines = [line.lower() for line in done.stdout.splitlines()]
        hsts = [line for line in lines if line.startswith("strict-transport-security")]
        assert hsts == ["strict-transport-security: max-age=63072000; includesubdomains"]
        assert [line for line in lines if line.startswith("server:")] == ["server: nginx"]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET /metrics HTTP/1.1\r\n" + HOST, 404, "not_found"),
        (b"GET /x/..//%6detrics/?a HTTP/1.1\r\n" + HOST, 404, "not_found"),
        (b"GET /admin/users HTTP/1.1\r\n" + HOST, 404, "not_found"),
        (b"TRACE / HTTP/1.1\r\n" + HOST, 405, "method_not_allowed"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n", 413, "payload_too_large"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 5000 + b"\r\n", 400, "headers_too_large"),
        (b"\x01nonsense\r\n", 400, "malformed_request"),
    ],
    ids=["metrics", "hidden metrics", "admin", "trace", "body", "path", "header", "nonsense"],
)
def test_what_nginx_refuses_is_in_the_apis_envelope(
    fleet: TestedFleet, data: bytes, status: int, code: str
) -> None:
    """Also where no path could be read, for which nginx would show a page of its own."""
    told, headers, error = envelope(speak(fleet, data + b"\r\n"))
    assert (told, error["code"]) == (status, code)
    assert headers["cache-control"] == "no-store"


def test_the_api_answers_where_the_edge_closes_nothing(fleet: TestedFleet) -> None:
    """The control of the closed paths: the API itself has metrics, and knows no path like this."""
    answer = speak(fleet, b"GET /nothing HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert envelope(answer)[0] == 404
    time.sleep(LOG_DELAY_S)
    edge = fleet.host(fleet.names("edge")[0])
    last = edge.check_output(
        "tail -n 200 /var/log/nginx/access.log | grep '\"/nothing\"' | tail -n 1"
    )
    assert json.loads(last)["upstream_status"] == "404"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Host: other.example\r\n\r\n",
        b"X-Forwarded-For : 192.0.2.1\r\n\r\n",
    ],
    ids=["length and chunks", "two lengths", "two codings", "two hosts", "space before colon"],
)
def test_a_request_with_two_readings_is_refused(fleet: TestedFleet, headers: bytes) -> None:
    """Whoever smuggles needs two servers that disagree; the API never sees such a request."""
    status, _, error = envelope(speak(fleet, b"POST /auth/login HTTP/1.1\r\n" + HOST + headers))
    assert (status, error["code"]) == (400, "malformed_request")


def test_other_names_and_the_bare_address_are_closed(fleet: TestedFleet) -> None:
    """No handshake for another name, and no answer in clear."""
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        speak(fleet, b"GET / HTTP/1.1\r\n\r\n", name="other.example")
    other = b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"
    assert speak(fleet, other) == b""
    assert speak(fleet, other, tls=False) == b""
    assert speak(fleet, b"\x01nonsense\r\n\r\n", tls=False) == b""


def test_what_comes_in_clear_is_sent_to_https(fleet: TestedFleet) -> None:
    """With its method, path and query."""
    answer = speak(
        fleet, b"POST /a?b=c HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", tls=False
    )
    assert answer.startswith(b"HTTP/1.1 308 ")
    assert f"Location: https://{PUBLIC_NAME}/a?b=c\r\n".encode() in answer


def test_a_client_that_dawdles_is_cut_off(fleet: TestedFleet) -> None:
    """10 s for the headers, and 10 s between two pieces of a body; at once, to save the time."""
    slow = [
        b"GET / HTTP/1.1\r\nHo",
        b"POST /auth/login HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n{",
    ]

    def seconds(data: bytes) -> float:
        started = time.monotonic()
        speak(fleet, data)
        return time.monotonic() - started

    with ThreadPoolExecutor(len(slow)) as pool:
        for took in pool.map(seconds, slow):
            assert 9 < took < 13


def test_a_client_cannot_choose_its_address(fleet: TestedFleet) -> None:
    """Eleven logins a minute from one address are one too many, whatever address it claims.

    Asked from the edge host, so that only that address is limited for a minute.
    """
    edge = fleet.names("edge")[0]
    address = fleet.address(edge)
    command = ["curl", "--insecure", "--silent", "--noproxy", "*", "--output", "/dev/null"]
    command += ["--write-out", "%{http_code}\n", "--resolve", f"{PUBLIC_NAME}:443:{address}"]
    command += ["--json", '{"email":"nobody@example.org","password":"Wrong-password-1"}']
    seen = []
    for number in range(1, 15):
        claims = [f"X-Forwarded-For: 192.0.2.{number}", f"X-Real-IP: 192.0.2.{number}"]
        claims += [f"Forwarded: for=192.0.2.{number}"]
        headers = [word for claim in claims for word in ("--header", claim)]
        url = f"https://{PUBLIC_NAME}/auth/login"
        seen.append(fleet.run_beside(edge, [*command, *headers, url]).stdout.strip())
    assert "429" in seen, seen


def test_a_request_keeps_a_good_id_and_loses_a_bad_one(fleet: TestedFleet) -> None:
    """What is not fit for a log is replaced."""
    for given, kept in (("my-request.1", True), ('x"y', False)):
        done = fleet.outside_curl("/metrics", "--header", f"X-Request-ID: {given}")
        assert (json.loads(done.stdout)["error"]["requestId"] == given) is kept


def test_the_log_has_no_query_and_no_token(fleet: TestedFleet) -> None:
    """One JSON object a line, with what an operator needs."""
    secret = "canary-in-a-query"
    fleet.outside_curl(
        f"/nothing/at-all?token={secret}", "--header", f"Authorization: Bearer {secret}"
    )
    time.sleep(LOG_DELAY_S)
    edge = fleet.host(fleet.names("edge")[0])
    lines = edge.check_output("tail -n 50 /var/log/nginx/access.log").splitlines()
    entry = next(found for found in map(json.loads, lines) if found["path"] == "/nothing/at-all")
    assert entry["status"] == 404
    assert entry["upstream"]
    assert secret not in "".join(lines)


def test_nothing_that_holds_a_token_is_compressed(fleet: TestedFleet) -> None:
    """Pages and lists are; answers of /auth are not."""
    ask = ("--header", "Accept-Encoding: gzip", "--include", "--output", "-")
    assert (
        "content-encoding: gzip" in fleet.outside_curl("/openapi.json", *ask, "--compressed").stdout
    )
    login = ["--json", json.dumps({f"field{n}": 1 for n in range(200)})]
    assert "content-encoding" not in fleet.outside_curl("/auth/login", *ask, *login).stdout


def test_the_sandbox_holds(fleet: TestedFleet) -> None:
    """The unit is rated, and a worker is nobody in particular."""
    edge = fleet.host(fleet.names("edge")[0])
    rated = edge.check_output("systemd-analyze security nginx.service --no-pager | tail -n 1")
    assert float(rated.split("nginx.service: ")[1].split()[0]) <= 2.7
    users = edge.check_output("ps -o user= -C nginx").split()
    assert set(users) == {"root", "www-data"}


def test_a_configuration_that_nginx_does_not_take_changes_nothing(fleet: TestedFleet) -> None:
    """It is tried as a whole, before it replaces the live one."""
    edge = fleet.host(fleet.names("edge")[0])
    try:
        edge.check_output(
            "sed 's/least_conn;/least_con;/' /etc/nginx/nginx.conf > /run/broken.conf"
        )
        tried = edge.run(f"/usr/local/sbin/gtsd-edge try {PUBLIC_NAME} /run/broken.conf")
        assert tried.rc == 1
        assert "least_con" in tried.stderr
        assert (
            edge.run(f"/usr/local/sbin/gtsd-edge try {PUBLIC_NAME} /etc/nginx/nginx.conf").rc == 0
        )
    finally:
        edge.check_output("rm -f /run/broken.conf")
