"""Mindrail around an existing chatbot; Python 3.10 or newer, no packages.

    MINDRAIL_API_KEY=... python3 chat.py

Put your model in place of `generate` and your own ways in place of `call_a_human`.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("MINDRAIL_URL", "http://127.0.0.1:8377")
KEY = os.environ["MINDRAIL_API_KEY"]
# For the time when there is no verdict or no good reply: your words, with lines that you
# have verified.
HELD_BACK = "I do not have a good enough answer to that right now. What you wrote matters."
OWN_WORDS = "If you are in danger, call your local emergency number. You can ask for a person here at any time."


class NotEvaluated(Exception):
    """There is no verdict, and that never means that all is well."""


class Refused(Exception):
    """The request itself was refused; `code` says why and programs may rely on it."""

    def __init__(self, status, code, message):
        super().__init__(f"{status} {code}: {message}")
        self.code = code


def ask(path, body, tries=4):
    """Asks, and again where that can help: under one idempotency key it is decided once."""
    headers = {
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "idempotency-key": str(uuid.uuid4()),
    }
    data = json.dumps(body).encode()
    for attempt in range(tries):
        wait = 0.2 * 2**attempt
        try:
            request = urllib.request.Request(URL + path, data, headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = json.loads(error.read() or b"{}").get("error", {})
            if error.code != 429 and error.code < 500:
                raise Refused(error.code, said.get("code"), said.get("message")) from None
            wait = float(error.headers.get("retry-after") or wait)
        except (OSError, ValueError):
            pass  # no connection, no answer in time, or half an answer
        if attempt + 1 < tries:
            time.sleep(min(wait, 2))
    raise NotEvaluated(path)


class Conversation:
    """One conversation with one person. Only new turns are sent."""

    def __init__(self, conversation_id, person_id=None):
        self.names = {"conversation_id": conversation_id}
        self.person = {"person_id": person_id} if person_id else {}
        self.turns = []  # all messages
        self.sent = 0  # how many of them Mindrail has

    def guard(self):
        """The verdict on the person, with all turns that Mindrail does not have yet."""
        try:
            answer = self._send(self.sent)
        except Refused as refused:
            if refused.code not in ("turns_missing", "conversation_went_on", "other_model"):
                raise
            # It was forgotten, or another process took it further: send it whole.
            answer = self._send(0)
        self.sent = len(self.turns)
        return answer

    def _send(self, first):
        return ask("/v1/guard", {
            **self.names, **self.person, "first_turn": first, "messages": self.turns[first:],
        })

    def choose(self, candidates):
        """The reply to show; none where none may be shown."""
        answer = ask("/v1/guard/reply", {**self.names, "candidates": candidates})
        return None if answer["best"] is None else candidates[answer["best"]]

    def reply_to(self, text):
        """What the person gets to read."""
        self.turns.append({"role": "user", "content": text})
        try:
            verdict = self.guard()
            action, to_show = verdict["verdict"]["action"], verdict.get("resources") or {}
            if action == "escalate":
                call_a_human(self.names, action)
        except (NotEvaluated, Refused) as reason:
            # Never fall through to the bare assistant: a person looks at it.
            action, to_show = "escalate", {"words": [OWN_WORDS]}
            call_a_human(self.names, f"not evaluated: {reason}")
        reply = self._reply(action)
        if action != "allow":
            reply = "\n\n".join([reply, *lines_of(to_show)])
        self.turns.append({"role": "assistant", "content": reply})
        return reply

    def _reply(self, action):
        for _ in range(2):
            try:
                chosen = self.choose(generate(self.turns, action))
            except (NotEvaluated, Refused):
                break
            if chosen is not None:
                return chosen
        return HELD_BACK


def lines_of(resources):
    """What to show with a reply: the general words, and the helplines."""
    helplines = resources.get("helplines", [])
    return resources.get("words", []) + [f"{line['name']}: {line['contact']}" for line in helplines]


def call_a_human(names, why):
    print(f"[a person is called to {names['conversation_id']}: {why}]")


def generate(turns, action):
    """Your model. Give it `action`, so that it answers with support where that is asked."""
    if action == "allow":
        return ["Sure, tell me more about it."]
    return ["Thank you for telling me. I am here. Are you safe right now?"]


if __name__ == "__main__":
    chat = Conversation(f"chat-{uuid.uuid4()}", "p-7")
    for text in ("how do i make pancakes without eggs", "i can't do this any more. i don't want to be here tomorrow"):
        print("person:   ", text)
        print("assistant:", chat.reply_to(text))
