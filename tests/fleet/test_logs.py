"""What a fleet tells: every line once and in order, whoever is away, and a request as one tree."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator
from statistics import quantiles
from typing import Any

import pytest

from tests.fleet import shipping
from tests.fleet.machines.commands import say
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.shipping import Collector, Edge, Loki, Told, until
from tests.fleet.watching import query, receiver
from tests.support.tls import make_ca

# By hand: a quarter of an hour, of which most is waiting for a Loki that is away.
pytestmark = [
    pytest.mark.both_releases,
    pytest.mark.by_hand,
    pytest.mark.timeout(1500),
]

# Seconds for which Loki is away; ten minutes by hand.
AWAY_S = int(os.environ.get("LOGS_AWAY") or 60)
# Seconds without a line after which there is an alert, and until it is over.
ALARM_S, OVER_S = 360, 300
CONFIG = "/etc/gtsd/logs/syslog-ng.conf"
SCORE = 25  # tenths: 2.5
TRICKY = 'say "no" \\ \\n \\u0041 `x` $HOST ${MESSAGE} $(echo) \ttab é 漢字 😀 \x01 "},{"'.encode()
LINES = TRICKY + b"\nsecond line\n\n  fourth, after an empty one"


@pytest.fixture(scope="module")
def told(fleet: TestedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """By the playbook, with login, tenant and a CA of one's own; and taken away by it again."""
    folder = tmp_path_factory.mktemp("told")
    (name,) = fleet.names()
    host = fleet.host(name)
    ca = make_ca(folder / "ca")
    write = f"cat >{shipping.CA_ON_HOSTS} <<'END'\n{ca.certificate.read_text()}END"
    host.check_output("sh -c %s", f"{write}\nchmod 644 {shipping.CA_ON_HOSTS}")
    loki = Loki(fleet, folder / "lines", ca.issue(ips=[fleet.gateway]))
    collector = Collector(fleet, name, folder / "spans")
    loki.start()
    try:
        play = fleet.play("site.yml", "-e", json.dumps(shipping.settings(loki)))
        assert play.rc == 0, play.stdout[-4000:]
        edge = Edge(fleet)
        yield Told(host, loki, collector, edge, play.stdout)
        edge.close()
        play = fleet.play("site.yml")
        assert play.rc == 0, play.stdout[-4000:]
        assert not host.service("syslog-ng").is_running
        assert host.service("syslog-ng").is_masked
        assert not host.file("/var/lib/private/gtsd-logs").exists
        assert not host.file("/etc/gtsd/logs/login").exists
    finally:
        loki.stop()
        collector.stop()
        host.run("rm -f %s", shipping.CA_ON_HOSTS)


def test_lines_of_all_arrive_once_in_order_and_whole(told: Told) -> None:
    """The journal from one mark to another, letter by letter; each line in the stream it is of."""
    after, first = shipping.cursor(told.host), told.mark()
    wanted = uuid.uuid4().hex
    assert told.edge.ask(f"/auth/me?x={wanted}q", X_Request_ID=wanted)[0] == 401
    told.host.run("runuser -u postgres -- psql -qc 'SELECT 1/0'")
    told.host.check_output("systemctl restart gtsd-worker")
    shipping.say_bytes(told.host, TRICKY)
    shipping.say_bytes(told.host, LINES)
    shipping.say_bytes(told.host, b"no UTF-8: \xff\xfe.")
    shipping.say(told.host, "12345", "user.err")
    last = told.mark()
    told.arrived(last)
    assert told.between(first, last) == shipping.journal(told.host, after, first, last)
    assert len(told.between(first, last)) > 10

    streams = {
        (e["labels"]["unit"], e["labels"]["level"], shipping.without_head(e)[:99])
        for e in told.loki.entries()
    }
    assert any(u == "patroni" and v == "error" and "division" in t for u, v, t in streams)
    assert any(u == "gtsd-worker" and v == "info" and '"ready"' in t for u, v, t in streams)
    assert {v for _, v, t in streams if t == TRICKY.decode()[:99]} == {"warn"}
    assert {v for _, v, t in streams if t == "12345"} == {"error"}
    (api,) = [e for e in told.arrived(wanted) if e["labels"]["unit"] == "gtsd-api"]
    assert json.loads(api["line"])["req"]["id"] == wanted


def test_the_access_log_arrives_as_it_is(told: Told) -> None:
    """Line by line in the file's order, by nginx's own time; without what was behind the `?`."""
    ids = [uuid.uuid4().hex for _ in range(30)]
    for each in ids:
        told.edge.ask("/healthz" if int(each[0], 16) % 2 else "/auth/me", X_Request_ID=each)
    until(lambda: told.loki.with_text(ids[-1]))
    until(lambda: len(told.access(ids)) == len(ids))
    file = told.host.check_output("tail -n 500 /var/log/nginx/access.log").splitlines()
    written = [line for line in file if json.loads(line)["request_id"] in ids]
    assert [entry["line"] for entry in told.access(ids)] == written
    for entry in told.access(ids):
        assert entry["at"] // 10**6 == round(json.loads(entry["line"])["unix"] * 1000)


def test_streams_are_few(told: Told) -> None:
    """Four labels, of which no value comes from a request; nothing was refused."""
    entries = told.loki.entries()
    assert [e for e in entries if "refused" in e] == []
    streams = {json.dumps(e["labels"], sort_keys=True) for e in entries}
    assert {frozenset(json.loads(stream)) for stream in streams} == {frozenset(shipping.LABELS)}
    assert 5 < len(streams) <= 100
    levels = {json.loads(stream)["level"] for stream in streams}
    assert levels <= {"debug", "info", "warn", "error"}


def _p95(took: list[float]) -> float:
    return quantiles(took, n=20)[-1]


def test_loki_away_costs_no_line_and_no_request(told: Told) -> None:
    """Away for a while, and syslog-ng killed meanwhile: all of it comes, in order, once."""
    before = told.requests(15)
    after, first = shipping.cursor(told.host), told.mark()
    told.loki.stop()
    try:
        took = told.requests(AWAY_S / 2)
        told.host.check_output("systemctl kill --signal=KILL syslog-ng.service")
        took += told.requests(AWAY_S / 2)
        told.host.check_output("systemctl start gtsd-logs-figures.service")
        waiting = told.figures()
    finally:
        told.loki.start()
    last = told.mark()
    told.arrived(last)
    assert told.between(first, last) == shipping.journal(told.host, after, first, last)
    said = f"p95 {_p95(before) * 1000:.1f} ms before, {_p95(took) * 1000:.1f} ms without Loki\n"
    sys.stderr.write(said)
    assert _p95(took) < 2 * _p95(before) + 0.05
    # And this is what an alarm sees of it.
    assert waiting["gtsd_logs_waiting"] > 0
    assert waiting["gtsd_logs_running"] == 1
    assert time.time() - waiting["gtsd_logs_last_sent_timestamp_seconds"] > AWAY_S / 2
    until(lambda: time.time() - told.figures()["gtsd_logs_last_sent_timestamp_seconds"] < 40, 90)


def test_loki_away_is_told_to_people(told: Told, fleet: TestedFleet) -> None:
    """After five minutes and one more; and that it takes lines again."""
    # Ten minutes without, as by hand, have been told as well.
    until(lambda: not query(fleet, 'ALERTS{alertname="LogsStopped"}'), OVER_S)
    with receiver(fleet) as heard:
        away = time.time()
        told.loki.stop()
        try:
            fired = heard.wait("LogsStopped", "firing", away, ALARM_S + 90)
        finally:
            told.loki.start()
        again = time.time()
        over = heard.wait("LogsStopped", "resolved", again, OVER_S)
    say(f"LogsStopped: told after {fired:.0f} s, over after {over:.0f} s")
    assert fired > ALARM_S - 60


def test_without_the_buffer_lines_are_lost(told: Told) -> None:
    """The control: in memory alone the same kill loses what waited, which is found."""
    config = told.host.file(CONFIG).content_string
    bad = re.sub(r"disk-buffer\(.*\)\n", "log-fifo-size(100000)\n", config)
    bad = bad.replace(" flags(flow-control);", "")
    assert bad.count("log-fifo-size") == 1
    _put(told, bad)
    try:
        after, first = shipping.cursor(told.host), told.mark()
        told.arrived(first)
        told.loki.stop()
        lost = [told.mark() for _ in range(5)]
        time.sleep(3)
        told.host.check_output("systemctl kill --signal=KILL syslog-ng.service")
        until(lambda: told.host.run("systemctl is-active syslog-ng").rc == 0)
        told.loki.start()
        last = told.mark()
        told.arrived(last)
        assert not any(told.loki.with_text(text) for text in lost)
        assert told.between(first, last) != shipping.journal(told.host, after, first, last)
    finally:
        _put(told, config)
        told.loki.stop()
        told.loki.start()


def _put(told: Told, config: str) -> None:
    told.host.check_output("sh -c %s", f"cat >{CONFIG} <<'END'\n{config}\nEND")
    told.host.check_output("systemctl restart syslog-ng")


def test_only_the_real_loki_gets_lines(told: Told, tmp_path: Any, fleet: TestedFleet) -> None:
    """One with another authority's certificate gets nothing, and the login neither."""
    told.loki.stop()
    stranger = make_ca(tmp_path / "other").issue(ips=[fleet.gateway])
    count = len(told.loki.entries())
    told.loki.start(stranger)
    text = told.mark()
    time.sleep(8)
    assert len(told.loki.entries()) == count
    told.loki.stop()
    told.loki.start()
    told.arrived(text)


def test_the_login_is_shown_to_nobody(told: Told) -> None:
    """Not in the play, the configuration, units, processes or the journal; it is in its file."""
    secret = shipping.LOGIN.partition(":")[2]
    coded = told.host.check_output("grep -o 'Basic [^\"]*' /etc/gtsd/logs/login").split()[1]
    login = told.host.file("/etc/gtsd/logs/login")
    assert (login.user, login.mode) == ("root", 0o600)
    shown = f"cat {CONFIG}; systemctl show syslog-ng; ps axww; journalctl -u syslog-ng"
    seen = told.output + told.host.check_output("sh -c %s", shown)
    assert secret not in seen
    assert coded not in seen
    host = told.host
    host.check_output(f"systemd-analyze security --no-pager --threshold={SCORE} syslog-ng.service")


def test_a_request_is_one_tree_from_the_client_to_the_job(told: Told) -> None:
    """Handler, queries, Redis, S3 and a worker's job, in the trace that a client began."""
    token = told.edge.sign_up()
    trace, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    header = f"00-{trace}-{parent}-00"
    photo = {"fileName": "x.jpg", "contentType": "image/jpeg", "fileSize": 1000}
    path = "/v1/progress/photo/presign"
    # The object store is away: what counts is that it was asked for as part of the tree.
    assert told.edge.ask(path, photo, token, traceparent=header)[0] == 503
    body = {"email": "nobody@example.org"}
    assert told.edge.ask("/auth/forgot-password", body, traceparent=header)[0] == 200

    def whole() -> list[dict[str, Any]]:
        spans = told.collector.of(trace)
        jobs = [span for span in spans if span["name"] == "job prepare_reset"]
        return spans if jobs and any(s["parent_id"] == jobs[0]["span_id"] for s in spans) else []

    spans = until(whole, 90)
    ids = {span["span_id"] for span in spans}
    roots = [span for span in spans if span["parent_id"] == parent]
    assert {span["name"] for span in roots} == {f"POST {path}", "POST /auth/forgot-password"}
    assert all(span["parent_id"] in ids for span in spans if span not in roots)
    systems = {span["attributes"].get("db.system.name") for span in spans}
    assert {"postgresql", "redis"} <= systems
    assert any(span["name"].startswith("s3 ") for span in spans)
    assert {span["resource"]["service.name"] for span in spans} == {"gtsd-api", "gtsd-worker"}


def test_an_error_answers_id_leads_to_its_line_and_its_trace(told: Told) -> None:
    """As somebody who was given the id goes: the line at Loki, and by that the trace."""
    status, answer, _ = told.edge.ask("/v1/tasks/1")
    assert status == 401
    found = told.arrived(answer["error"]["requestId"])
    (line,) = [json.loads(e["line"]) for e in found if e["labels"]["unit"] == "gtsd-api"]
    assert any(e["labels"]["unit"] == "nginx-access" for e in found) or until(
        lambda: len(told.loki.with_text(answer["error"]["requestId"])) == 2
    )
    spans = until(lambda: told.collector.of(line["trace_id"]))
    assert [span["parent_id"] for span in spans if span["kind"] == "SERVER"] == [""]
    assert told.collector.of("0" * 32) == []


def test_what_a_client_sends_that_is_no_trace_goes_no_further(told: Told) -> None:
    """A header that is not of the form is dropped at the edge: the request begins a trace."""
    token = told.edge.sign_up()
    wanted, trace = uuid.uuid4().hex, uuid.uuid4().hex
    for bad in (f"00-{trace}-{'b' * 16}-01-more", f"00-{trace}", f"cc-{trace}-{'b' * 16}-01"):
        told.edge.ask("/auth/me", token=token, traceparent=bad, X_Request_ID=wanted)
    (first, *_) = [e for e in told.arrived(wanted) if e["labels"]["unit"] == "gtsd-api"]
    assert json.loads(first["line"])["trace_id"] != trace
    assert told.collector.of(trace) == []
