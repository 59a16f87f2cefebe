"""What of each table is its owner's to take away: one row a table, and reasons for the rest."""

from __future__ import annotations

from typing import Final, NamedTuple


class Part(NamedTuple):
    """A table, the name of its rows in the file, and their columns in order; the first sorts them.

    A column ``…_at`` is a moment, ``…_time`` a time of day; both are shown as everywhere else.
    """

    name: str
    table: str
    columns: str
    owner: str = "user_id"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Each column with its name in the file."""
        return [(column, _camel(column)) for column in self.columns.split()]


PARTS: Final = (
    Part(
        "account",
        "users",
        "id email name phone sms_opt_in timezone is_active email_verified_at last_login_at "
        "onboarded_at dietary_preferences allergies meals_per_day compliance_threshold "
        "created_at updated_at",
        owner="id",
    ),
    Part("sessions", "sessions", "id user_agent address created_at last_used_at revoked_at"),
    Part(
        "healthProfile",
        "health_profiles",
        "date_of_birth gender height_cm weight_kg activity_level primary_goal target_weight_kg "
        "target_date metrics_version metrics_computed_at created_at updated_at",
    ),
    Part("partners", "partners", "id name email phone relationship created_at"),
    Part("profileChanges", "profile_changes", "id field before after changed_at"),
    Part(
        "metricsAcknowledgements",
        "metrics_acknowledgements",
        "version metrics_computed_at acknowledged_at",
    ),
    Part(
        "plans",
        "plans",
        "id starts_on ends_on archived_on primary_goal activity_level weight_kg meals_per_day "
        "bmr_kcal tdee_kcal calories_kcal protein_g water_ml weekly_rate_kg weeks created_at",
    ),
    Part(
        "taskSeries",
        "task_series",
        "id type title description due_time priority metadata repeat starts_on ends_on "
        "made_until created_at",
    ),
    Part(
        "tasks",
        "tasks",
        "id series_id plan_day plan_slot type title description due_date due_time status priority "
        "repeat completed_at skipped_at skip_reason metadata created_at updated_at",
    ),
    Part("evidence", "evidence", "id task_id type data notes created_at"),
    Part("streak", "streaks", "longest total_days updated_at"),
    Part(
        "photos",
        "photos",
        "id file_name content_type size_bytes task_id evidence_type taken_at created_at "
        "confirmed_at",
    ),
    Part("nudges", "nudges", "at kind day outcome"),
    Part("badges", "user_badges", "badge earned_at"),
    Part("streakDays", "streak_days", "day due completed skipped compliant run updated_at"),
)

# Tables with a user_id that are not in the file, each with the reason.
LEFT_OUT: Final = {
    "refresh_tokens": "hashes of secrets; what they are for is told by sessions",
    "account_tokens": "hashes of secrets that were mailed, of use for some hours",
    "sign_in_places": "hashes of programs and networks; sessions tell them in words",
    "photo_owners_deleted": "accounts that are gone, until their photos are, too",
    "idempotency_keys": "answers that were given already, sealed, for 24 hours",
}

# Columns that are not in the file, each with the reason; user_id is in none.
HIDDEN: Final = {
    ("nudges", "local_at"): "the same moment as at, on the person's clock",
    ("photos", "upload_key"): "where it lay until it was confirmed",
    ("photos", "object_key"): "a place in our store; the photo itself is at /v1/progress/photos",
    ("users", "closed_day"): "how far the nightly count has come; streakDays tell its outcome",
    ("users", "password_hash"): "whoever has the file could guess at the password",
}


def _camel(column: str) -> str:
    head, *tail = column.split("_")
    return head + "".join(word.capitalize() for word in tail)
