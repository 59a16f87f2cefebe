"""Thirty texts as they turn up in logs, each with the part that must never be seen."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.environments import JWT_SECRET
from tests.unit.telemetry.conftest import DATABASE_PASSWORD

JWT = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiIxMiIsImlzcyI6Imd0c2QtYXBpIn0"
    ".s5r8nKf0QkQb1vJ5m7wq3Zt2Lx9"
)
REFRESH = "Jx3vQ9_kLm2-PzR7tYw1BnC5dEf8GhI0jKlMnOpQrStUvWxYz4A6bC-D_eF7gH9iJ0kL2mN4oP5qR6sT8uV1w"
RESET = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ARGON = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKE"
EMAIL = "bob.smith+canary@mail.example.com"


class Canary(NamedTuple):
    """A text and what of it is secret."""

    text: str
    secret: str


CANARIES = (
    Canary(f"Authorization: Bearer {JWT}", "s5r8nKf0QkQb1vJ5m7wq3Zt2Lx9"),
    Canary(f"got {JWT} from the client", "eyJzdWIiOiIxMiIs"),
    Canary("authorization=Bearer opaqueCanary", "opaqueCanary"),
    Canary("bearer 0paqueCanary was refused", "0paqueCanary"),
    Canary("Basic Ym9iOmh1bnRlckNhbmFyeQ== was refused", "Ym9iOmh1bnRlckNhbmFyeQ"),
    Canary("{'Authorization': 'Bearer canary, with, commas'}", "canary, with"),
    Canary("[('X-Api-Key', 'canaryKey'), ('Host', 'x')]", "canaryKey"),
    Canary("Cookie: session=canaryCookie; theme=dark", "canaryCookie"),
    Canary("Set-Cookie: sid=canaryCookie; HttpOnly", "canaryCookie"),
    Canary(f"refresh {REFRESH} is spent", REFRESH[10:30]),
    Canary(f"reset link /reset/{RESET}", RESET[10:30]),
    Canary(f"hash is {ARGON}", "RdescudvJCsgt3ub"),
    Canary("login with password=hunter2Canary failed", "hunter2Canary"),
    Canary('{"email": "x", "password": "hunter2 Canary!", "name": "b"}', "hunter2 Canary!"),
    Canary('body: "{\\"password\\": \\"hunter2Canary\\"}"', "hunter2Canary"),
    Canary("Change(current_password='hunter2Canary', newPassword='otherCanary')", "otherCanary"),
    Canary("ALTER ROLE gtsd PASSWORD 'hunter2Canary'", "hunter2Canary"),
    Canary("cannot connect to postgresql://gtsd:hunter2Canary@db/gtsd", "hunter2Canary"),
    Canary("cannot connect to rediss://:p@ss/wordCanary@cache:6379/0", "wordCanary"),
    Canary("host=db user=gtsd password='hunter2 Canary' dbname=gtsd", "hunter2 Canary"),
    Canary("GET /v1/x?token=canaryToken&y=1", "canaryToken"),
    Canary("GET /v1/x?y=1&note=canaryNote HTTP/1.1", "canaryNote"),
    Canary("PUT https://s3/b/k?X-Amz-Signature=c4n4ry&X-Amz-Date=1", "c4n4ry"),
    Canary(f"key AKIAIOSFODNN7CANARYX and {AWS_SECRET}", "AKIAIOSFODNN7CANARYX"),
    Canary(f"secret {AWS_SECRET} was refused", AWS_SECRET),
    Canary(f"mail to {EMAIL} bounced", "bob.smith"),
    Canary(f"DETAIL:  Key (email)=({EMAIL}) already exists.", "mail.example.com"),
    Canary("sms to +4915112345678 failed", "4915112345678"),
    Canary(f"our own {JWT_SECRET} or", JWT_SECRET),
    Canary(f"our own {DATABASE_PASSWORD} or", DATABASE_PASSWORD),
    Canary(
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIcanary\n-----END EC PRIVATE KEY-----",
        "MHcCAQEEIcanary",
    ),
)
