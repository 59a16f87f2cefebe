"""Text messages by Twilio's HTTP API.

https://www.twilio.com/docs/messaging/api/message-resource and, for what comes in,
https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from gtsd.nudges.errors import SmsDelayed, SmsNotSent, SmsOptedOut, SmsRefused, SmsUnknown

if TYPE_CHECKING:
    from gtsd.settings import Settings

_CONNECT_S: Final = 5.0
_ALL_S: Final = 15.0
_MOST: Final = 10
# What is still on its way then is thrown away: the quiet hours may have begun.
_VALID_S: Final = 1800
_STOPPED: Final = 21610
# Numbers that do not exist, or that cannot get messages.
_REFUSED: Final = frozenset({21211, 21214, 21217, 21408, 21612, 21614})
WEBHOOK: Final = "/v1/sms/inbound"


class Twilio:
    """Sends from one number or messaging service of an account."""

    def __init__(self, settings: Settings) -> None:
        self._account = settings.twilio_account_sid or ""
        self._token = settings.twilio_auth_token or ""
        self._sender = settings.sms_from or ""
        self._url = f"{settings.twilio_api_url}/2010-04-01/Accounts/{self._account}/Messages.json"
        self._webhook = settings.sms_webhook_url or f"{settings.public_url}{WEBHOOK}"
        self._http = AsyncHTTPClient(force_instance=True, max_clients=_MOST)

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    async def send(self, phone: str, text: str) -> None:
        """Raises SmsRefused, SmsOptedOut, SmsDelayed, or SmsUnknown.

        Never a second time by itself: the API has no way to recognise a repeated request.
        """
        request = HTTPRequest(
            self._url,
            "POST",
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode(self._form(phone, text)),
            auth_username=self._account,
            auth_password=self._token,
            connect_timeout=_CONNECT_S,
            request_timeout=_ALL_S,
            follow_redirects=False,
        )
        try:
            answer = await self._http.fetch(request, raise_error=False)
        except HTTPClientError as error:
            raise _unanswered(error) from None
        except OSError as error:
            # Refused, no route, no such name, a bad certificate: nothing was sent.
            raise SmsDelayed(f"Twilio cannot be reached: {type(error).__name__}") from None
        _check(answer)

    def _form(self, phone: str, text: str) -> dict[str, str]:
        service = self._sender.startswith("MG")
        return {
            "To": phone,
            "MessagingServiceSid" if service else "From": self._sender,
            "Body": text,
            "ValidityPeriod": str(_VALID_S),
        }

    def is_genuine(self, signature: str, form: Mapping[str, str]) -> bool:
        """Whether Twilio signed this form for our webhook, with the account's token."""
        signed = self._webhook + "".join(f"{name}{form[name]}" for name in sorted(form))
        digest = hmac.digest(self._token.encode(), signed.encode(), "sha1")
        return hmac.compare_digest(base64.b64encode(digest), signature.encode())


def _unanswered(error: HTTPClientError) -> SmsNotSent:
    # The library tells by words only how far it came.
    if error.message in ("Timeout while connecting", "Timeout in request queue"):
        return SmsDelayed("Twilio cannot be reached in time")
    return SmsUnknown("Twilio gave no answer")


def _check(answer: HTTPResponse) -> None:
    status = answer.code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise SmsDelayed("Twilio wants us to wait", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SmsUnknown("Twilio has a fault of its own", status)
    code = _code(answer.body)
    if code == _STOPPED:
        raise SmsOptedOut("the phone has said STOP", code)
    if code in _REFUSED:
        raise SmsRefused("the number gets no messages", code)
    # The account, its token, the sender: our settings are wrong, and nothing was sent.
    raise SmsDelayed("Twilio does not accept our request", code or status)


def _code(body: bytes) -> int:
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return 0
    return code if isinstance(code, int) else 0
