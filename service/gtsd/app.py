"""The whole URL table, and what is made from it."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from gtsd.accounts import handlers as accounts
from gtsd.accounts import types as a
from gtsd.badges import handlers as badges
from gtsd.badges import types as b
from gtsd.deps import Deps
from gtsd.export import handlers as export
from gtsd.export import types as e
from gtsd.nudges import handlers as nudges
from gtsd.nudges import types as n
from gtsd.ops import handlers as ops
from gtsd.ops import types as o
from gtsd.photos import handlers as photos
from gtsd.photos import types as ph
from gtsd.plans import handlers as plans
from gtsd.plans import types as p
from gtsd.profile import handlers as profile
from gtsd.profile import types as f
from gtsd.streaks import handlers as streaks
from gtsd.streaks import types as s
from gtsd.tasks import handlers as tasks
from gtsd.tasks import types as t
from gtsd.web import docs
from gtsd.web.answers import encode
from gtsd.web.fields import DayRange, Done, Nothing, Page
from gtsd.web.openapi import document
from gtsd.web.routes import FORM_TYPE, Limited, Policy, Route, RouteTable
from gtsd.web.server import Api

OPS, PUBLIC, USER = Policy.OPS, Policy.PUBLIC, Policy.USER
AUTH = Limited.AUTH_WRITE

# fmt: off
_ROUTES: Final = (
    Route("GET", "/health", ops.health, OPS, "How the service and its servers are", "ops",
          o.Health, refusals=(503,), enveloped=False),
    Route("GET", "/healthz", ops.alive, OPS, "Whether the process lives", "ops",
          o.Liveness, enveloped=False),
    Route("GET", "/ready", ops.ready, OPS, "Whether to send requests here", "ops",
          o.Readiness, refusals=(503,), enveloped=False),
    Route("GET", "/metrics", ops.metrics, OPS, "Metrics for Prometheus", "ops",
          enveloped=False, media_type="text/plain"),

    Route("POST", "/auth/signup", accounts.sign_up, PUBLIC, "Open an account", "accounts",
          a.SignedIn, 201, a.SignUp, limit=AUTH, refusals=(409,), creates=True),
    Route("POST", "/auth/login", accounts.log_in, PUBLIC, "Sign in", "accounts",
          a.SignedIn, body=a.LogIn, limit=AUTH, refusals=(401, 403)),
    Route("POST", "/auth/refresh", accounts.refresh, PUBLIC, "Spend a refresh token for new ones",
          "accounts", a.Tokens, body=a.RefreshToken, limit=AUTH, refusals=(401, 403)),
    Route("POST", "/auth/logout", accounts.log_out, PUBLIC, "Sign out here", "accounts",
          Done, body=a.RefreshToken, limit=AUTH),
    Route("GET", "/auth/me", accounts.show, USER, "My account", "accounts", a.User),
    Route("PATCH", "/auth/me", accounts.change, USER, "Change my account", "accounts",
          a.User, body=a.AccountChange, limit=AUTH, refusals=(409,)),
    Route("DELETE", "/auth/me", accounts.delete, USER, "Delete my account and all my data",
          "accounts", Done, 202, a.DeleteAccount, limit=AUTH),
    Route("GET", "/auth/me/export", export.download, USER, "All my data as a file", "accounts",
          e.Export, limit=Limited.HEAVY),
    Route("PATCH", "/auth/change-password", accounts.change_password, USER,
          "Change my password and sign out everywhere else", "accounts",
          Done, body=a.PasswordChange, limit=AUTH),
    Route("POST", "/auth/forgot-password", accounts.forgot_password, PUBLIC,
          "Ask for a mail to set a new password", "accounts",
          Done, body=a.ForgotPassword, limit=AUTH),
    Route("POST", "/auth/reset-password", accounts.reset_password, PUBLIC,
          "Set a new password with the token of the mail", "accounts",
          Done, body=a.ResetPassword, limit=AUTH),
    Route("POST", "/auth/verify-email", accounts.verify_email, PUBLIC,
          "Verify an email address with the token of the mail", "accounts",
          a.User, body=a.VerifyEmail, limit=AUTH),
    Route("POST", "/auth/verify-email/resend", accounts.resend_verification, USER,
          "Ask for that mail again", "accounts", Done, body=Nothing, limit=AUTH),
    Route("GET", "/auth/sessions", accounts.list_sessions, USER, "Where I am signed in", "accounts",
          a.Sessions),
    Route("DELETE", "/auth/sessions/{id}", accounts.end_session, USER, "Sign one place out",
          "accounts", Done, limit=AUTH),

    Route("POST", "/v1/onboarding", profile.onboard, USER, "Say who I am and what I want",
          "profile", a.User, 201, f.Onboarding, creates=True),
    Route("GET", "/v1/summary/how-it-works", profile.how_it_works, USER,
          "My numbers, each with its formula", "profile", f.HowItWorks, refusals=(404,)),
    *(
        Route(method, path, profile.change if body else profile.show, USER, summary, "profile",
              f.ProfileChanged if body else f.Profile, body=body, refusals=(404,))
        for path in ("/v1/profile", "/v1/auth/profile")
        for method, summary, body in (
            ("GET", "My profile", None),
            ("PATCH", "Change my profile, and my plan where it has to follow", f.ProfileChange),
            ("PUT", "As PATCH: fields that are left out stay", f.ProfileChange),
        )
    ),
    Route("GET", "/v1/profile/audit", profile.audit, USER, "What I changed and when", "profile",
          f.Audit, query=Page),
    Route("GET", "/v1/profile/metrics/today", profile.metrics, USER, "My numbers today", "profile",
          f.TodaysMetrics, refusals=(404,)),
    Route("POST", "/v1/profile/metrics/acknowledge", profile.acknowledge, USER,
          "I have seen my numbers", "profile", f.Acknowledged, body=f.Acknowledgement,
          refusals=(409,)),

    Route("POST", "/v1/plans/generate", plans.generate, USER,
          "This week's plan and its tasks: 201 a new one, 200 the one that there is", "plans",
          p.Plan, 201, p.GeneratePlan, limit=Limited.HEAVY, also=(200,), creates=True),
    Route("GET", "/v1/plans/current", plans.show, USER, "The plan of today", "plans",
          p.Plan, refusals=(404,)),

    Route("GET", "/v1/tasks/today", tasks.today, USER, "A day's tasks, today's by default", "tasks",
          t.Today, query=t.TodayQuery, cached=("today",)),
    Route("GET", "/v1/tasks", tasks.find, USER, "Tasks by day, type and status", "tasks",
          t.Tasks, query=t.TaskQuery),
    Route("POST", "/v1/tasks", tasks.add, USER, "A task of my own, once or repeated", "tasks",
          t.Task, 201, t.NewTask, creates=True),
    Route("GET", "/v1/tasks/{id}", tasks.show, USER, "One task", "tasks", t.Task),
    Route("PATCH", "/v1/tasks/{id}", tasks.change, USER, "Change a task", "tasks",
          t.Task, body=t.TaskChange, refusals=(409,)),
    Route("DELETE", "/v1/tasks/{id}", tasks.delete, USER, "Delete a task", "tasks",
          Done, query=t.Deletion),
    Route("POST", "/v1/tasks/{id}/complete", tasks.complete, USER, "A task is done", "tasks",
          t.Task, body=Nothing),
    Route("POST", "/v1/tasks/{id}/uncomplete", tasks.uncomplete, USER,
          "A task is not done, or not skipped, after all", "tasks", t.Task, body=Nothing),
    Route("POST", "/v1/tasks/{id}/skip", tasks.skip, USER, "Skip a task", "tasks",
          t.Task, body=t.Skip, refusals=(409,)),
    Route("GET", "/v1/tasks/{id}/evidence", tasks.show_evidence, USER, "The proofs of a task",
          "tasks", t.EvidencePage, query=Page),
    Route("POST", "/v1/evidence", tasks.give_evidence, USER, "Prove that a task was done", "tasks",
          t.EvidenceGiven, 201, t.NewEvidence, refusals=(404,), creates=True),

    Route("GET", "/v1/streaks/me", streaks.mine, USER, "My streak and how today goes", "streaks",
          s.MyStreak),
    Route("GET", "/v1/streaks/history", streaks.history, USER, "How my days went", "streaks",
          s.History, query=DayRange),
    Route("POST", "/v1/streaks/check-compliance", streaks.check, USER, "Count a day again",
          "streaks", s.Checked, body=s.CheckCompliance, limit=Limited.HEAVY),

    Route("GET", "/v1/badges/me", badges.mine, USER, "The badges that I have", "badges",
          b.MyBadges),
    Route("GET", "/v1/badges/available", badges.available, USER,
          "All badges, and how far I am", "badges", b.AvailableBadges),

    Route("POST", "/v1/progress/photo/presign", photos.presign, USER, "Leave to upload a photo",
          "photos", ph.UploadAllowed, body=ph.NewUpload, limit=Limited.HEAVY),
    Route("POST", "/v1/progress/photo/confirm", photos.confirm, USER,
          "A photo was uploaded: check it, strip it and keep it", "photos",
          ph.PhotoConfirmed, 201, ph.Confirmation, also=(200,), refusals=(404, 409), creates=True),
    Route("GET", "/v1/progress/photos", photos.find, USER, "My photos, the newest first", "photos",
          ph.Photos, query=ph.PhotoQuery),
    Route("GET", "/v1/progress/photos/{id}", photos.show, USER, "One photo", "photos", ph.Photo),
    Route("DELETE", "/v1/progress/photos/{id}", photos.delete, USER, "Delete a photo", "photos",
          Done),
    Route("DELETE", "/v1/progress/photo/{id}", photos.delete, USER,
          "Delete a photo, by the path of earlier clients", "photos", Done),
    # Public, as Twilio has no token of ours: it signs each call, and the handler checks that first.
    Route("POST", "/v1/sms/inbound", nudges.receive, PUBLIC, "A text message came in", "messages",
          body=n.InboundSms, body_type=FORM_TYPE, refusals=(403, 404), enveloped=False,
          media_type="text/xml"),
)
# fmt: on


def table() -> RouteTable:
    """Every route of the API, without the documents about it."""
    return RouteTable(_ROUTES)


def document_text(version: str = "unknown") -> str:
    """The OpenAPI document as indented JSON."""
    import json

    return json.dumps(document(table(), version), indent=2) + "\n"


def make_app(deps: Deps) -> Api:
    """The server for a set of dependencies; it does not listen yet."""
    api_document = encode(document(table(), deps.settings.app_version))
    routes = RouteTable([*_ROUTES, *docs.routes(api_document, files("gtsd.web") / "page")])
    deps.metrics.allow_routes((route.method, route.template) for route in routes.routes)
    return Api(deps, routes)


def make_probes(deps: Deps) -> Api:
    """As ``make_app``, with the routes for machines alone: for a process without clients."""
    routes = RouteTable([route for route in _ROUTES if route.policy is OPS])
    deps.metrics.allow_routes((route.method, route.template) for route in routes.routes)
    return Api(deps, routes)
