"""From a request through the queue and a worker to the mail server, each a process of its own."""

from __future__ import annotations

import re
import sys

from gtsd.dev.redis import EmbeddedRedis
from tests.support.database import outside
from tests.support.mail_server import MailServer
from tests.support.process import environment, serving, started

_WORKER = (sys.executable, "-m", "gtsd", "worker")
EMAIL = "canary.person@example.com"
NEW = "Another-horse-8"


def test_a_forgotten_password_is_mailed_by_a_worker(
    migrated_database_url: str, redis_server: EmbeddedRedis, mail_server: MailServer
) -> None:
    """The token in the mail works; queue and logs of both processes never had it, nor the address.

    The mail server refuses for a while first: the job stays in the queue.
    """
    environ = environment(
        migrated_database_url,
        REDIS_URL=redis_server.url,
        SMTP_URL=mail_server.url,
        GTSD_MAIL_FROM="GTSD <no-reply@gtsd.example>",
        GTSD_WORKER_PORT="0",
        GTSD_WORKER_POLL_INTERVAL="0.1",
        LOG_LEVEL="trace",
    )
    with serving(environ) as api:
        body = {"email": EMAIL, "password": "Correct-horse-7", "name": "Canary"}
        assert api.call("POST", "/auth/signup", body).status == 201
        assert api.call("POST", "/auth/forgot-password", {"email": EMAIL}).status == 200
        queued = outside(
            migrated_database_url,
            "SELECT string_agg(task_name || args::text, ' ' ORDER BY id) FROM procrastinate_jobs",
        )
        assert re.findall("send_mail|prepare_reset", queued) == ["send_mail", "prepare_reset"]
        assert "canary" not in queued.lower()
        with started(environ, _WORKER) as worker:
            worker.wait_until(lambda: len(mail_server.received) == 2)
            worker.signal()
            assert worker.ended() == 0
        mails = {mail.kind: mail for mail in mail_server.received}
        assert {mail.to for mail in mails.values()} == {EMAIL}
        body = {"token": mails["reset_password"].token, "newPassword": NEW}
        assert api.call("POST", "/auth/reset-password", body).status == 200
        api.signal()
        assert api.ended() == 0
    said = api.written + worker.written
    assert "a job is done" in said
    for secret in ("canary", *(mail.token for mail in mails.values())):
        assert secret.lower() not in said.lower()
