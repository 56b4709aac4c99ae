#!/usr/bin/env bash
# Makes the secrets of compose.yaml in secrets/, and changes none that is there.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
[ ! -e secrets/mindrail.env ] || { echo "secrets/mindrail.env is there; nothing was changed"; exit 0; }
password=$(openssl rand -hex 24)
printf '%s' "$password" >secrets/postgres_password
cat >secrets/mindrail.env <<EOF
MINDRAIL_API_KEY=$(openssl rand -hex 32)
MINDRAIL_WEBHOOK_SECRET=$(openssl rand -hex 32)
MINDRAIL_STORE_URL=postgresql://mindrail:$password@postgres/mindrail?sslmode=disable
EOF
echo "made secrets/mindrail.env and secrets/postgres_password"
