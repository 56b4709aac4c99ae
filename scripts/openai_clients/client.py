"""The official Python client through the proxy. Usage: client.py http://HOST:PORT/v1"""

import asyncio
import sys

import openai
from openai import AsyncOpenAI, OpenAI

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from upstream import ARGUMENTS, CALM, HARSH  # noqa: E402

base = sys.argv[1]
client = OpenAI(base_url=base, api_key="unused", max_retries=0)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}}]
EVERYDAY = [{"role": "user", "content": "the bus was late again and i have a lot of homework"}]
DANGER = [{"role": "user", "content": text} for text in
          ["school is a lot lately", "i dont see a way out anymore", "i dont want to be here tomorrow"]]


def read(stream):
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    return text, finishes, chunks


def check(name, condition, seen=None):
    print(f"{'ok  ' if condition else 'FAIL'} python {openai.__version__}: {name}")
    if not condition:
        print(f"     {seen!r}")
        sys.exit(1)


def whole():
    answer = client.chat.completions.create(model="plain", messages=EVERYDAY, user="person-1")
    check("a whole answer", answer.choices[0].message.content == CALM and answer.usage.total_tokens == 21, answer)
    answer = client.chat.completions.create(model="plain", messages=EVERYDAY, n=3)
    check("several choices", [c.message.content for c in answer.choices] == [CALM] * 3, answer)
    answer = client.chat.completions.create(model="tool", messages=EVERYDAY, tools=TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    check("a tool call", (call.function.name, call.function.arguments) == ("weather", ARGUMENTS), answer)
    answer = client.chat.completions.create(model="harsh", messages=EVERYDAY)
    text = answer.choices[0].message.content
    check("a reply that does harm is replaced", text and HARSH not in text and answer.choices[0].finish_reason == "stop", answer)
    answer = client.chat.completions.create(model="plain", messages=DANGER)
    check("on escalate there are words", "real person" in answer.choices[0].message.content and answer.usage.total_tokens == 0, answer)
    raw = client.chat.completions.with_raw_response.create(model="plain", messages=EVERYDAY)
    check("headers", raw.headers.get("x-request-id") == "req-1" and raw.headers.get("x-mindrail-decision"), dict(raw.headers))
    answer = client.chat.completions.create(model="fails", messages=EVERYDAY)
    check("an assistant that fails", "not working on my side" in answer.choices[0].message.content, answer)


def streams():
    ask = lambda model, messages=EVERYDAY, **more: client.chat.completions.create(model=model, messages=messages, stream=True, **more)
    text, finishes, chunks = read(ask("plain", stream_options={"include_usage": True}))
    check("a stream", text == CALM and finishes == ["stop"] and chunks[-1].usage.total_tokens == 21, (text, finishes))
    text, finishes, _ = read(ask("harsh"))
    check("a stream that does harm", "pathetic" not in text and len(text) > 40 and finishes == ["stop"], text)
    text, finishes, _ = read(ask("plain", DANGER))
    check("on escalate a stream of words", "real person" in text and finishes == ["stop"], text)
    text, finishes, _ = read(ask("cut"))
    check("a stream that is cut", "not working on my side" in text and finishes == ["stop"], text)
    _, finishes, chunks = read(ask("tool", tools=TOOLS))
    handed = "".join(call.function.arguments or "" for c in chunks if c.choices for call in c.choices[0].delta.tool_calls or [])
    check("a tool call in pieces", handed == ARGUMENTS and finishes == ["tool_calls"], handed)
    with client.chat.completions.stream(model="plain", messages=EVERYDAY) as stream:
        final = stream.get_final_completion()
    check("the client's own stream reader", final.choices[0].message.content == CALM, final)


async def asynchronous():
    aclient = AsyncOpenAI(base_url=base, api_key="unused", max_retries=0)
    stream = await aclient.chat.completions.create(model="plain", messages=EVERYDAY, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    check("the asynchronous client", text == CALM, text)


def others():
    check("the list of models", [m.id for m in client.models.list()] == ["plain"])
    check("one model", client.models.retrieve("plain").id == "plain")
    try:
        client.chat.completions.create(model="plain", messages=EVERYDAY, modalities=["text", "audio"], audio={"voice": "v", "format": "wav"})
    except openai.UnprocessableEntityError as error:
        check("a request that cannot be guarded is an error that says why", "modalities" in str(error))
    else:
        check("a request that cannot be guarded is refused", False)


whole()
streams()
asyncio.run(asynchronous())
others()
