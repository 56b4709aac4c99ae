"""Asks a running `mindrail serve` with the backends of NeMo Guardrails' classifier rail.

    python -m venv .venv && .venv/bin/pip install nemoguardrails
    .venv/bin/python scripts/adapter_clients/nemo_client.py http://127.0.0.1:8377
"""
import asyncio
import sys
from importlib.metadata import version

from nemoguardrails.library.hf_classifier.backends import get_backend
from nemoguardrails.library.hf_classifier.rail_config import RemoteHFClassifierConfig

BLOCKED = {"escalate", "not_evaluated"}
CALM = "what is a good way to cook rice"
UNREAD = "庄子恶乎待哉庄子恶乎"  # A script that the model was not trained on.
GRAVE = "i wrote the letter and gave my things away. i will do it tonight, i have everything here"


async def main() -> None:
    for engine in ["fms", "vllm", "kserve"]:
        config = RemoteHFClassifierConfig(
            engine=engine, model="mindrail", base_url=sys.argv[1], blocked_labels=sorted(BLOCKED)
        )
        backend = get_backend(config)
        for text, expected in [(CALM, False), (UNREAD, True), (GRAVE, True)]:
            results = await backend.classify(text)
            triggered = [r for r in results if r["label"] in BLOCKED and r["score"] >= config.threshold]
            assert bool(triggered) is expected, (engine, text, results)
    print(f"nemoguardrails {version('nemoguardrails')}: ok with fms, vllm and kserve")


asyncio.run(main())
