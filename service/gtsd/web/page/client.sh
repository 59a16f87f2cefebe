#!/usr/bin/env bash
# From nothing to a day that is proved: sign up, onboard, plan, today, evidence, photo.
#   bash client.sh ada@example.com front.jpg [https://api.example.org]
set -euo pipefail
email=${1:?your email} photo=${2:?a JPEG file}
API=${3:-http://127.0.0.1:3000}

# A refusal ends the script with what the API says of it.
call() {
    local answer
    answer=$(curl -sS --fail-with-body -H 'Content-Type: application/json' \
        ${token:+-H "Authorization: Bearer $token"} "$@") || { echo "$answer" >&2; return 1; }
    echo "$answer"
}
text() { sed -E "s/.*\"$1\": ?\"([^\"]+)\".*/\1/"; }
first_id() { grep -oE '"id": ?[0-9]+' | head -n 1 | tr -dc 0-9; }

token=$(call "$API/auth/signup" -d '{"email": "'"$email"'", "password": "Correct-horse-7",
    "name": "Ada", "timezone": "Europe/Berlin"}' | text accessToken)
echo "signed up"

# Who sends the same key again, as after a lost answer, gets the first answer again.
call "$API/v1/onboarding" -H 'Idempotency-Key: onboarding' -d '{
    "dateOfBirth": "1990-05-17", "gender": "female", "primaryGoal": "lose_weight",
    "currentWeight": 71.5, "targetWeight": 65, "height": 168, "targetDate": "2035-06-30",
    "activityLevel": "moderately_active", "mealsPerDay": 3}' >/dev/null
call "$API/v1/plans/generate" -H 'Idempotency-Key: first-plan' -d '{}' >/dev/null
echo "planned"

today=$(call "$API/v1/tasks/today")
task=$(first_id <<<"$today") || { echo "nothing is left of today; the first tasks are tomorrow's" >&2; exit 1; }
call "$API/v1/evidence" -H "Idempotency-Key: task-$task" -d '{"taskId": '"$task"', "type": "text_log",
    "data": {"text": "Done before breakfast"}}' >/dev/null
echo "proved task $task"

allowed=$(call "$API/v1/progress/photo/presign" -d '{"fileName": "front.jpg",
    "contentType": "image/jpeg", "fileSize": '"$(wc -c <"$photo" | tr -d ' ')"'}')
# Straight to the object store, with the type and the length that were signed, and without the token.
curl -sS --fail-with-body -H 'Content-Type: image/jpeg' -T "$photo" "$(text uploadUrl <<<"$allowed")"
call "$API/v1/progress/photo/confirm" -H "Idempotency-Key: photo-of-$task" \
    -d '{"fileKey": "'"$(text fileKey <<<"$allowed")"'", "taskId": '"$task"'}' >/dev/null
echo "kept the photo"
