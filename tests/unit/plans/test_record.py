"""Words of a client and the record that they make, over the whole range."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gtsd.plans.formulas import age, targets
from gtsd.profile import record
from gtsd.profile.record import PATHS, Record, differences
from gtsd.profile.types import Onboarding, ProfileChange
from gtsd.web.bodies import decode_body
from tests.unit.plans.people import GOALS, LEVELS, TODAY

ONBOARDINGS = st.fixed_dictionaries(
    {
        "dateOfBirth": st.dates().map(str),
        "gender": st.sampled_from(["male", "female", "other"]),
        "primaryGoal": GOALS,
        "currentWeight": st.floats(30, 300),
        "targetWeight": st.floats(30, 300) | st.integers(30, 300),
        "height": st.floats(100, 250),
        "targetDate": st.dates(date(2000, 1, 1), date(2100, 12, 31)).map(str),
        "activityLevel": LEVELS,
    }
)


@given(ONBOARDINGS, st.dates(date(2026, 1, 1), date(2099, 12, 31)))
def test_whatever_is_taken_makes_numbers(body: dict[str, Any], today: date) -> None:
    """Fault 14: a body either names what is wrong with it or makes a record that plans can use."""
    words = decode_body(msgspec.json.encode(body), Onboarding, 32)
    values = record.given(words)
    wrong = record.problems(values, today)
    years = age(words.date_of_birth, today)
    assert ("date_of_birth" in wrong) == (not 13 <= years <= 120)
    assert ("target_date" in wrong) == (words.target_date <= today)
    made = Record(**values)
    for number in (made.weight, made.target_weight, made.height):
        assert number == round(number, 2)
    assert 30 <= made.weight <= 300
    assert 100 <= made.height <= 250
    if not wrong:
        assert targets(made.body, today).calories >= 1200


def test_numbers_keep_two_decimals_as_they_were_written() -> None:
    """Halves go up, and a binary number is taken for what it was written as."""
    for given_, kept in ((85.555, "85.56"), (85.554, "85.55"), (70.005, "70.01"), (80, "80.00")):
        body = msgspec.json.encode({"health": {"currentWeight": given_}})
        values = record.given(decode_body(body, ProfileChange, 32))
        assert values == {"weight": Decimal(kept)}


def test_every_field_of_a_record_has_its_path() -> None:
    """And a difference in any of them is found."""
    assert set(PATHS) == set(Record.__struct_fields__)
    body = {
        "dateOfBirth": "1990-05-17",
        "gender": "male",
        "primaryGoal": "maintain",
        "currentWeight": 80,
        "targetWeight": 75,
        "height": 175,
        "targetDate": str(TODAY + timedelta(days=1)),
        "activityLevel": "sedentary",
    }
    words = decode_body(msgspec.json.encode(body), Onboarding, 32)
    one = Record(**record.given(words))
    for name in PATHS:
        other = msgspec.structs.replace(one, **{name: "something else"})
        assert [each.name for each in differences(one, other)] == [name]
    assert differences(one, one) == []
