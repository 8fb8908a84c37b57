#!/usr/bin/env bash
# Runs the service in the foreground. With DEMO=1 on made-up data: a data directory and a stream of their own, and the
# simulator beside it, which ends with the service.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python

if [ "${DEMO:-0}" != 1 ]; then
    exec "$python" web_server.py
fi

export DEMO PORT="${PORT:-5000}" DATA_DIR="${DATA_DIR:-./var/demo}"
mkdir -p "$DATA_DIR"
if [ -z "${WEBHOOK_TOKEN:-}" ]; then
    token_file="$DATA_DIR/simulator_token"
    [ -s "$token_file" ] || (umask 077 && "$python" -c 'import secrets; print(secrets.token_urlsafe(24))' >"$token_file")
    WEBHOOK_TOKEN=$(cat "$token_file")
    export WEBHOOK_TOKEN
fi

waves=
if [ -z "${SIGNAL_WS_URL:-}" ]; then
    export SIGNAL_WS_URL="ws://127.0.0.1:${SIGNAL_WS_PORT:-8765}"
    "$python" -m simulator waves --port "${SIGNAL_WS_PORT:-8765}" &
    waves=$!
fi
# The gateway's ports stay free of the service's: next to it, one after the other.
export PROJECTX_API_URL="http://127.0.0.1:$((PORT + 81))" PROJECTX_USERNAME=demo PROJECTX_API_TOKEN=demo-api-key
export PROJECTX_RTC_MARKET_URL="http://127.0.0.1:$((PORT + 82))/hubs/market" MARKET_CONTRACTS="${MARKET_CONTRACTS:-MNQ,MES}"
"$python" -m simulator gateway --rest-port $((PORT + 81)) --hub-port $((PORT + 82)) --always-open --busy 8 &
gateway=$!
"$python" web_server.py &
service=$!
"$python" -m simulator alerts --url "http://127.0.0.1:$PORT/api/automated-signals/webhook/$WEBHOOK_TOKEN" \
    --resume "$DATA_DIR/simulator_place.json" &
simulator=$!
stop() {
    kill -TERM "$simulator" "$gateway" $waves 2>/dev/null || true
    kill -TERM "$service" 2>/dev/null || true
}
trap stop INT TERM
status=0
while kill -0 "$service" 2>/dev/null; do # a signal ends `wait` before the service has drained
    status=0
    wait "$service" || status=$?
done
kill -TERM "$simulator" "$gateway" $waves 2>/dev/null || true
exit "$status"
