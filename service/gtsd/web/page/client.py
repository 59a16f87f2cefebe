"""From nothing to a day that is proved: sign up, onboard, plan, today, evidence, photo.

    python3 client.py ada@example.com front.jpg [https://api.example.org]

It needs Python 3.9 or later and nothing else.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any


def send(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    """One request; a refusal ends the program with what the server says of it."""
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as refused:
        sys.exit(f"{method} {url}: {refused.code} {refused.read().decode()}")


class Client:
    """Calls the API, with a token once somebody is signed in."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.token = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The data of the answer."""
        # With the same key, as after a lost answer, the first answer would be given again.
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        sent = None if body is None else json.dumps(body).encode()
        return json.loads(send(method, self.api + path, sent, headers))["data"]


def onboarding() -> dict[str, Any]:
    """All that plans are made from: kg, cm, and days as YYYY-MM-DD."""
    return {
        "dateOfBirth": "1990-05-17",
        "gender": "female",
        "primaryGoal": "lose_weight",
        "currentWeight": 71.5,
        "targetWeight": 65,
        "height": 168,
        "targetDate": str(date.today() + timedelta(days=180)),
        "activityLevel": "moderately_active",
        "mealsPerDay": 3,
    }


def main(email: str, photo: str, api: str = "http://127.0.0.1:3000") -> None:
    """The whole way of a new person."""
    gtsd = Client(api)
    person = {"email": email, "password": "Correct-horse-7", "name": "Ada"}
    signed_in = gtsd.call("POST", "/auth/signup", {**person, "timezone": "Europe/Berlin"})
    gtsd.token = signed_in["accessToken"]  # for 15 minutes; POST /auth/refresh gives the next one

    gtsd.call("POST", "/v1/onboarding", onboarding())
    plan = gtsd.call("POST", "/v1/plans/generate", {})
    print(f"planned {plan['totalTasks']} tasks until {plan['endsOn']}")

    today = gtsd.call("GET", "/v1/tasks/today")
    tasks = [task for tasks in today["tasksByType"].values() for task in tasks]
    if not tasks:
        sys.exit("Nothing is left of today; the first tasks are tomorrow's.")
    task = tasks[0]
    proof = {"taskId": task["id"], "type": "text_log", "data": {"text": "Done before breakfast"}}
    gtsd.call("POST", "/v1/evidence", proof)
    print(f"proved {task['title']!r}, one of {today['totalTasks']} today")

    content = Path(photo).read_bytes()
    upload = {"fileName": "front.jpg", "contentType": "image/jpeg", "fileSize": len(content)}
    allowed = gtsd.call("POST", "/v1/progress/photo/presign", upload)
    # Straight to the object store, with what was signed, and without the token.
    send("PUT", allowed["uploadUrl"], content, allowed["headers"])
    upload = {"fileKey": allowed["fileKey"], "taskId": task["id"]}
    kept = gtsd.call("POST", "/v1/progress/photo/confirm", upload)
    print(f"kept photo {kept['photoId']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
