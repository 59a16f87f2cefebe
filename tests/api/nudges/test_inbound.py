"""Messages that come in: signed by the provider, or refused."""

from __future__ import annotations

import asyncio
import base64
import hmac
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from gtsd.clock import FixedClock
from gtsd.nudges.jobs import send_nudges
from tests.api.conftest import Running, Start
from tests.api.nudges.conftest import WEBHOOK, Reached, run
from tests.support.client import Response
from tests.support.twilio_server import TOKEN, TwilioServer

PATH = "/v1/sms/inbound"
FORM = "application/x-www-form-urlencoded"
# As it is documented, and with a field that nobody knows yet.
BASE = {"From": "+4930555000", "To": "+15005550006", "MessageSid": "SM1", "NewField": "x y&z=ü"}


def sign(form: dict[str, str], url: str = WEBHOOK, token: str = TOKEN) -> str:
    """As the provider's documents say: the URL, then each field's name and value, sorted."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), "sha1").digest()).decode()


async def come_in(service: Running, signature: str | None = None, **fields: str) -> Response:
    """A message, signed as it should be unless said otherwise."""
    form = {**BASE, **fields}
    given = sign(form) if signature is None else signature
    headers = {"Content-Type": f"{FORM}; charset=UTF-8", "X-Twilio-Signature": given}
    return await service.client.post(PATH, raw=urlencode(form).encode(), headers=headers)


def said(answer: Response) -> str:
    """What is answered to the person."""
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    text = answer.body.decode()
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?><Response>')
    return text.partition("<Message>")[2].partition("</Message>")[0]


def test_signatures_are_made_as_documented() -> None:
    """The example of the provider's own documents, with the published result."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign(form, url, "12345") == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


async def test_stop_is_honoured_until_start(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """By every word for it, also when it comes twice; the account's own switch stays on."""
    ada = await reached(days=("2026-11-19", "2026-11-20"))
    phone = ada.user["phone"]
    assert "no more messages" in said(await come_in(messages, From=phone, Body="Stop"))
    assert "no more messages" in said(await come_in(messages, From=phone, Body="UNSUBSCRIBE"))
    assert (await ada.get("/auth/me")).data["smsOptIn"] is True
    clock.move(timedelta(hours=18, minutes=15))  # from noon to 06:15
    await send_nudges(messages.deps)
    assert twilio.forms == []
    assert "on again" in said(await come_in(messages, From=phone, Body="start"))
    await send_nudges(messages.deps)
    assert twilio.phones == [phone]


async def test_stop_outlives_the_account(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """The phone said it, so it holds for the next account with this phone, too."""
    ada = await reached()
    phone = ada.user["phone"]
    await come_in(messages, From=phone, Body="STOP")
    assert (await ada.delete("/auth/me", {"password": "Correct-horse-7"})).status == 202
    await reached(phone=phone, days=("2026-11-19",))
    clock.move(timedelta(hours=18, minutes=15))
    await send_nudges(messages.deps)
    assert twilio.forms == []


async def test_help_explains_and_other_words_get_no_answer(messages: Running) -> None:
    """Two programs that answer each other would never end."""
    assert "reminds you" in said(await come_in(messages, Body="HELP"))
    assert said(await come_in(messages, Body="thank you")) == ""
    assert said(await come_in(messages, Body="")) == ""


async def test_what_the_provider_has_answered_is_not_answered_again(messages: Running) -> None:
    """It says so by a field of its own; the opt-out counts all the same."""
    assert said(await come_in(messages, Body="Basta", OptOutType="STOP")) == ""
    assert await run(messages, "SELECT phone FROM sms_opt_outs") == BASE["From"]


async def test_a_sender_that_is_no_phone_changes_nothing(messages: Running) -> None:
    """Short codes and names of companies."""
    for sender in ("12345", "GTSD", "whatsapp:+4930555000"):
        assert said(await come_in(messages, From=sender, Body="STOP")) == ""
    assert await run(messages, "SELECT count(*) FROM sms_opt_outs") == 0


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "x",
        "é",
        sign({**BASE, "Body": "STOP"}, token="another"),
        sign({**BASE, "Body": "STOP"}, url="http://127.0.0.1" + PATH),
        sign({**BASE, "Body": "STOP", "From": "+4930555001"}),
        sign(BASE),
    ],
)
async def test_what_the_provider_did_not_sign_is_refused(messages: Running, signature: str) -> None:
    """No token, another's, another URL, another sender, a field left out: nothing is changed."""
    answer = await come_in(messages, signature, Body="STOP")
    assert (answer.status, answer.error["code"]) == (403, "bad_signature")
    assert await run(messages, "SELECT count(*) FROM sms_opt_outs") == 0
    # The control: the right one is taken.
    assert (await come_in(messages, Body="STOP")).status == 200


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "code"),
    [
        (b'{"From": "+4930555000"}', "application/json", 415, "unsupported_media_type"),
        (b"From=%2B4930555000&From=x", FORM, 400, "invalid_form"),
        (b"From=%00", FORM, 400, "invalid_form"),
        (b"From=%ff", FORM, 400, "invalid_form"),
        (b"\xff=1", FORM, 400, "invalid_form"),
        (b"no pairs", FORM, 400, "invalid_form"),
        (b"&".join(b"a%d=1" % n for n in range(101)), FORM, 400, "invalid_form"),
        (b"Body=STOP", FORM, 400, "invalid_fields"),
        (b"", FORM, 400, "invalid_fields"),
    ],
)
async def test_what_is_no_such_form_is_refused(
    webhook: Running, raw: bytes, content_type: str, status: int, code: str
) -> None:
    """With the one shape of every error."""
    answer = await webhook.client.post(PATH, raw=raw, headers={"Content-Type": content_type})
    assert (answer.status, answer.error["code"]) == (status, code)
    if code == "invalid_fields":
        assert answer.error["fields"] == {"From": 'is required, for example "+15005550009"'}


async def test_other_routes_take_no_forms(webhook: Running) -> None:
    """A page of another site could send one without asking."""
    raw, headers = b"email=a&password=b", {"Content-Type": FORM}
    assert (await webhook.client.post("/auth/login", raw=raw, headers=headers)).status == 415


async def test_there_is_nothing_here_unless_it_is_configured(service: Running) -> None:
    """Nobody's signature could be checked."""
    assert (await come_in(service, Body="STOP")).status == 404


async def test_one_message_that_comes_many_times_counts_once(messages: Running) -> None:
    """The provider repeats what it saw no answer to, also side by side."""
    answers = await asyncio.gather(*(come_in(messages, Body="STOP") for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert await run(messages, "SELECT count(*) FROM sms_opt_outs") == 1


async def test_without_the_database_the_provider_is_told_to_come_again(
    messages: Running, start: Start
) -> None:
    """503 with Retry-After; STOP is never answered as if it had been heard."""
    given = messages.deps.settings
    away = await start(
        database_url="postgresql://gtsd@127.0.0.1:9/gtsd",
        twilio_account_sid=given.twilio_account_sid,
        twilio_auth_token=given.twilio_auth_token,
        sms_webhook_url=given.sms_webhook_url,
    )
    answer = await come_in(away, Body="STOP")
    assert (answer.status, answer.error["code"]) == (503, "dependency_unavailable")
    assert "Retry-After" in answer.headers


async def test_without_redis_messages_are_still_heard(messages: Running, start: Start) -> None:
    """Each process limits by itself then."""
    given = messages.deps.settings
    alone = await start(
        redis_url="redis://127.0.0.1:9",
        database_url=given.database_url,
        twilio_account_sid=given.twilio_account_sid,
        twilio_auth_token=given.twilio_auth_token,
        sms_webhook_url=given.sms_webhook_url,
    )
    assert "no more messages" in said(await come_in(alone, Body="STOP"))
