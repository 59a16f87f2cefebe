"""What the tests say about people."""

from __future__ import annotations

from typing import Any

from tests.support.client import PASSWORD, Client

# The person of the contract: 36 years old on 18 November 2026.
CHECKED: dict[str, Any] = {
    "dateOfBirth": "1990-05-17",
    "gender": "male",
    "primaryGoal": "lose_weight",
    "currentWeight": 85.55,
    "targetWeight": 78,
    "height": 175,
    "targetDate": "2027-06-30",
    "activityLevel": "very_active",
}


async def onboarded(client: Client, **fields: Any) -> Client:
    """The same person, after onboarding."""
    answer = await client.post("/v1/onboarding", CHECKED | fields)
    assert answer.status == 201, answer.body
    return client


async def planned(client: Client, **fields: Any) -> dict[str, Any]:
    """The first plan of somebody, after onboarding."""
    await onboarded(client, **fields)
    answer = await client.post("/v1/plans/generate", {})
    assert answer.status == 201, answer.body
    plan: dict[str, Any] = answer.data
    return plan


async def back(client: Client) -> Client:
    """The same person, signed in anew: a token does not outlive a move of the clock."""
    body = {"email": client.user["email"], "password": PASSWORD}
    return client.signed_in((await Client(client.base).post("/auth/login", body)).data)
