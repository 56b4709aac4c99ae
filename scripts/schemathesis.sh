#!/usr/bin/env bash
# Puts requests that schemathesis makes from the OpenAPI document to a real server, and
# checks each answer against the document: no 5xx, documented statuses, shapes and
# headers, valid requests accepted, invalid ones refused, other methods refused with
# Allow. Ends with schemathesis's own exit code.
#
#     python -m venv .venv && .venv/bin/pip install schemathesis
#     PATH=.venv/bin:$PATH scripts/schemathesis.sh [EXAMPLES_FOR_EACH_OPERATION]
set -euo pipefail
cd "$(dirname "$0")/.."
examples=${1:-50}
binary=${MINDRAIL:-target/release/mindrail}
folder=$(mktemp -d)
export MINDRAIL_API_KEY=schemathesis SCHEMATHESIS_HOOKS=schemathesis_hooks PYTHONPATH=scripts
"$binary" serve --listen 127.0.0.1:0 --store "$folder/mindrail.db" 2>"$folder/said" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
    grep -q 'http://' "$folder/said" && break
    sleep 0.1
done
address=$(grep -o 'http://[0-9.:]*' "$folder/said" | head -1)
timeout 900 schemathesis run "$address/openapi.json" --url "$address" --checks all \
    --phases examples,coverage,fuzzing --max-examples "$examples" --seed 20261130 \
    --header "Authorization: Bearer $MINDRAIL_API_KEY" --request-timeout 30 --no-color
