"""A small assistant for the client scripts: it answers by the model's name.

`plain` says three calm sentences, `tool` calls a tool, `harsh` says something that must
not be shown, `fails` answers 503, `cut` breaks its stream off. Standard library only.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CALM = (
    "That sounds like a lot for one week. I am glad that you told me. "
    "Which part of it is the heaviest for you right now?"
)
HARSH = "Stop whining, nobody cares about that. You are pathetic."
ARGUMENTS = '{"place": "Paris"}'


class Assistant(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def send_json(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-request-id", "req-1")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        models = [{"id": "plain", "object": "model", "created": 1, "owned_by": "test"}]
        if self.path == "/v1/models":
            self.send_json(200, {"object": "list", "data": models})
        elif self.path == "/v1/models/plain":
            self.send_json(200, models[0])
        else:
            self.send_json(404, {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = request["model"]
        if model == "fails":
            self.send_json(503, {"error": {"message": "overloaded"}})
        elif request.get("stream"):
            self.stream(model, request)
        else:
            self.whole(model, request)

    def whole(self, model, request):
        def choice(index):
            if model == "tool":
                call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
                message, finish = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}, "tool_calls"
            else:
                text = HARSH if model == "harsh" else CALM
                message, finish = {"role": "assistant", "content": text, "refusal": None}, "stop"
            return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}

        choices = [choice(index) for index in range(request.get("n") or 1)]
        usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
        self.send_json(200, {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage})

    def stream(self, model, request):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

        def send(delta, finish=None, choices=True, **more):
            chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
            chunk["choices"] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}] if choices else []
            self.wfile.write(f"data: {json.dumps(chunk | more)}\n\n".encode())
            self.wfile.flush()

        send({"role": "assistant", "content": None if model == "tool" else "", "refusal": None})
        if model == "tool":
            send({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]})
            for piece in (ARGUMENTS[:7], ARGUMENTS[7:]):
                send({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            send({}, "tool_calls")
        else:
            words = (HARSH if model == "harsh" else CALM).split(" ")
            for place, word in enumerate(words):
                if model == "cut" and place == 20:
                    return
                send({"content": word if place == 0 else f" {word}"})
            send({}, "stop")
        if (request.get("stream_options") or {}).get("include_usage"):
            send({}, choices=False, usage={"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21})
        self.wfile.write(b"data: [DONE]\n\n")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Assistant)
    server.serve_forever()
