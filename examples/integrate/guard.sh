#!/usr/bin/env bash
# One exchange with Mindrail by curl. Needs MINDRAIL_URL and MINDRAIL_API_KEY.
set -euo pipefail
url=${MINDRAIL_URL:-http://127.0.0.1:8377}
ask() {
    curl -sS --fail-with-body --max-time 10 "$url$1" -d "$2" \
        -H "authorization: Bearer $MINDRAIL_API_KEY" -H 'content-type: application/json' "${@:3}"
    echo
}

# 1. What the person wrote, before the assistant answers.
ask /v1/guard '{"conversation_id": "chat-1", "person_id": "p-7", "first_turn": 0,
  "messages": [{"role": "user", "content": "i dont see a way out anymore"}]}' \
    -H "idempotency-key: chat-1-turn-0"

# 2. What the assistant would say, before it is shown.
ask /v1/guard/reply '{"conversation_id": "chat-1", "candidates": [
  "Stop whining, nobody cares about that.",
  "I am glad that you told me. Are you safe right now?"]}'

# 3. What was shown, and what the person wrote then: new turns only, from turn 1 on.
ask /v1/guard '{"conversation_id": "chat-1", "person_id": "p-7", "first_turn": 1, "messages": [
  {"role": "assistant", "content": "I am glad that you told me. Are you safe right now?"},
  {"role": "user", "content": "yes. i just needed to say it"}]}' \
    -H "idempotency-key: chat-1-turn-1"
