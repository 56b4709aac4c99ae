"""Receives Mindrail's webhooks; Python 3.10 or newer, no packages.

    MINDRAIL_WEBHOOK_SECRET=... python3 receiver.py [PORT]

Put it behind a proxy that speaks TLS. `python3 receiver.py --self-test` checks the
signature against a known answer.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OLDEST_S = 300
LARGEST = 1 << 20
SECRET = os.environ.get("MINDRAIL_WEBHOOK_SECRET", "").strip()
seen = set()  # keep this in your database: an event may come again, also after a restart


def signature(secret, timestamp, body):
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_genuine(headers, body, secret, now):
    """Whether Mindrail sent this body, within the last five minutes."""
    timestamp = headers.get("mindrail-timestamp", "")
    shown = headers.get("mindrail-signature", "")
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > OLDEST_S:
        return False
    return hmac.compare_digest(signature(secret, timestamp, body).encode(), shown.encode())


def handle(event):
    """Wakes somebody. Be quick, or hand it on: Mindrail waits ten seconds."""
    print(f"{event['type']} {event['id']}: decision {event['decision']}, "
          f"conversation {event['conversation_id']}", flush=True)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(min(length, LARGEST))
        if not is_genuine(self.headers, body, SECRET, time.time()):
            return self.answer(401)
        event = json.loads(body)
        if event["id"] not in seen:
            handle(event)  # if this fails, Mindrail gets no 2xx and comes again
            seen.add(event["id"])
        return self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def self_test():
    known = "v1=c8710bfad0d5744c091661b621aa5a921003ddb478e5004c4b34e1bc1fbcc919"
    body, headers = b'{"id":"e"}', {"mindrail-timestamp": "1700000000", "mindrail-signature": known}
    assert signature("secret", "1700000000", body) == known
    assert is_genuine(headers, body, "secret", 1_700_000_299)
    assert not is_genuine(headers, body, "secret", 1_700_000_301), "too old"
    assert not is_genuine(headers, body, "other", 1_700_000_000), "another secret"
    assert not is_genuine(headers, body + b" ", "secret", 1_700_000_000), "another body"
    print("the signature is right")


if __name__ == "__main__":
    if "--self-test" in sys.argv:
        self_test()
    elif not SECRET:
        sys.exit("MINDRAIL_WEBHOOK_SECRET is unset")
    else:
        ThreadingHTTPServer(("127.0.0.1", int((sys.argv + ["8400"])[1])), Receiver).serve_forever()
