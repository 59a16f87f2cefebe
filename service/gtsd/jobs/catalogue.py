"""The one table of background jobs, as ``app.py`` is for routes."""

from __future__ import annotations

from typing import Final

from gtsd.accounts import jobs as accounts
from gtsd.badges import jobs as badges
from gtsd.jobs.types import Job, Queue
from gtsd.mails import jobs as mails
from gtsd.nudges import jobs as nudges
from gtsd.photos import jobs as photos
from gtsd.plans import jobs as plans
from gtsd.streaks import jobs as streaks
from gtsd.web import jobs as web

# fmt: off
CATALOGUE: Final = (
    Job("send_mail", mails.send_mail, Queue.MAIL, priority=10, timeout=90.0),
    Job("prepare_reset", accounts.prepare_reset, Queue.MAIL, priority=10, timeout=30.0),
    # Half an hour after its time a nudge is too late, so a few missed runs cost nothing.
    Job("send_nudges", nudges.send_nudges, Queue.MAIL, "*/5 * * * *", priority=5, timeout=1800.0),
    Job("forget_nudges", nudges.forget_nudges, Queue.UPKEEP, "57 3 * * *"),
    Job("clean_up_accounts", accounts.clean_up, Queue.UPKEEP, "17 * * * *"),
    Job("forget_answers", web.forget_answers, Queue.UPKEEP, "37 * * * *"),
    # Every minute somebody's day may end; who is not due costs nothing.
    Job("close_days", streaks.close_days, Queue.NIGHTLY, "* * * * *", priority=5, timeout=50.0),
    # On the last day of a week the next one is made, so an hour more or less is no matter.
    Job("plan_weeks", plans.plan_weeks, Queue.NIGHTLY, "7 * * * *"),
    # What the end of a day has earned is given with that; this is for all else.
    Job("award_badges", badges.award_badges, Queue.NIGHTLY, "47 3 * * *"),
    Job("delete_photos_of_deleted", photos.delete_photos_of_deleted, Queue.PHOTOS, "*/5 * * * *"),
    Job("expire_uploads", photos.expire_uploads, Queue.PHOTOS, "7 * * * *"),
    Job("collect_orphans", photos.collect_orphans, Queue.PHOTOS, "27 * * * *"),
)
# fmt: on
