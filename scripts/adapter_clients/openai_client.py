"""Asks a running `mindrail serve` for moderations with OpenAI's own Python client.

    python -m venv .venv && .venv/bin/pip install openai
    .venv/bin/python scripts/adapter_clients/openai_client.py http://127.0.0.1:8377
"""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)

calm, danger = "what is a good way to cook rice", "i dont want to be here tomorrow"
answer = client.moderations.create(input=[calm, danger], model="omni-moderation-latest")
assert [result.flagged for result in answer.results] == [False, True], answer
first, second = (result.category_scores.self_harm_intent for result in answer.results)
assert second > first, (first, second)
flagged = answer.results[1].categories
assert all(getattr(flagged, name) is not None for name in type(flagged).model_fields), answer
assert answer.results[1].category_applied_input_types.sexual_minors == []
single = client.moderations.create(input=calm)
assert len(single.results) == 1 and not single.results[0].flagged, single
parts = [
    {"type": "text", "text": calm},
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
]
image = client.moderations.create(input=parts)
assert image.results[0].flagged and image.results[0].not_evaluated == ["non_text_part"], image
try:
    client.moderations.create(input=[])
except openai.BadRequestError as error:
    assert error.code == "invalid_request" and error.type == "invalid_request_error", error
else:
    raise AssertionError("an empty list was accepted")
print(f"openai {openai.__version__}: ok, {answer.id}, {answer.model}")
