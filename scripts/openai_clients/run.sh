#!/usr/bin/env bash
# The official OpenAI clients, Python and JavaScript, through `mindrail serve` to a small
# assistant on this machine: whole answers, streams, tools, faults.
#
# Needs a built `mindrail` (MINDRAIL, default target/release/mindrail), a Python that has
# `openai` (PYTHON), and a folder in which `npm install openai` ran (NODE_CLIENT). What is
# missing is skipped and said.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mindrail=${MINDRAIL:-$here/../../target/release/mindrail}
python=${PYTHON:-python3}
folder=$(mktemp -d)
assistant=8391 proxy=8392

python3 "$here/upstream.py" $assistant & upstream_pid=$!
(cd "$folder" && exec "$mindrail" serve --listen 127.0.0.1:$proxy --upstream http://127.0.0.1:$assistant/v1) & proxy_pid=$!
trap 'kill $upstream_pid $proxy_pid 2>/dev/null; rm -rf "$folder"' EXIT
until curl -sf "http://127.0.0.1:$proxy/readyz" >/dev/null && curl -sf "http://127.0.0.1:$assistant/v1/models" >/dev/null; do sleep 0.2; done

if "$python" -c 'import openai' 2>/dev/null; then
    "$python" "$here/client.py" "http://127.0.0.1:$proxy/v1"
else
    echo "SKIPPED: $python has no openai (pip install openai)"
fi
if [ -d "${NODE_CLIENT:-}/node_modules/openai" ]; then
    node "$here/client.mjs" "http://127.0.0.1:$proxy/v1"
else
    echo "SKIPPED: NODE_CLIENT names no folder with openai (npm install openai)"
fi
"$mindrail" audit verify --store "$folder/mindrail.db"
