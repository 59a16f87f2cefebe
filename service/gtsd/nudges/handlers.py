"""HTTP of nudges: what the provider of text messages tells us."""

from __future__ import annotations

from xml.sax.saxutils import escape

from gtsd.errors import Forbidden, NotFound
from gtsd.nudges import operations
from gtsd.web.answers import Answer
from gtsd.web.bodies import form_fields
from gtsd.web.call import Call

_XML = "text/xml; charset=utf-8"


async def receive(call: Call) -> Answer:
    """POST /v1/sms/inbound"""
    sms, message = call.deps.sms, call.body
    if sms is None:
        raise NotFound
    signature = call.request.headers.get("X-Twilio-Signature", "")
    if not sms.is_genuine(signature, form_fields(call.request.body)):
        raise Forbidden("The signature is missing or wrong.", code="bad_signature")
    wish = message.opt_out_type or message.body
    reply = await operations.receive(call.deps, message.from_, wish)
    # Where Twilio has answered already, a second answer would only puzzle.
    said = f"<Message>{escape(reply)}</Message>" if reply and not message.opt_out_type else ""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response>{said}</Response>'
    return Answer(call.route.status, body.encode(), content_type=_XML)
