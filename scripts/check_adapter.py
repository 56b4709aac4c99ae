"""What PEFT makes of an adapter that Mindrail saved: the reverse of golden_finetune.py.

Purpose: an adapter trained by Mindrail must be of use to others. Here transformers and
         PEFT load it onto its base, and a developer compares the logits with
         Mindrail's own.
Inputs:  FOLDER with adapter_config.json and adapter_model.safetensors; BASE, a
         checkpoint's folder; a head, `signals.weight` and `signals.bias` (`--head`,
         by default FOLDER/head.safetensors); token ids and types, the "inputs" of a
         JSON file (`--inputs`, by default BASE/golden.json).
Command: python scripts/check_adapter.py FOLDER BASE [--head FILE] [--inputs FILE]
         [--pooling cls|mean|last]
Output:  JSON on stdout: pooling, features and logits, one row for each input.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers import logging as transformers_logging

DECODERS = {"llama", "qwen2", "qwen3"}


def check_names(model: nn.Module, folder: Path) -> None:
    """PEFT only warns about tensors that are missing or of no use, and would then answer with the base's numbers."""
    expected, found = set(get_peft_model_state_dict(model)), set(load_file(folder / "adapter_model.safetensors"))
    if expected != found:
        sys.exit(f"missing {sorted(expected - found)}, of no use {sorted(found - expected)}")


def loaded(folder: Path, base: Path) -> nn.Module:
    more = {"add_pooling_layer": False} if AutoConfig.from_pretrained(base).model_type == "bert" else {}
    model = AutoModel.from_pretrained(base, dtype=torch.float32, attn_implementation="eager", **more)
    model = PeftModel.from_pretrained(model, folder).eval()
    check_names(model, folder)
    return model


def features(model: nn.Module, one: dict, pooling: str) -> Tensor:
    """One input by itself, so that no padding is needed."""
    given = {"input_ids": torch.tensor([one["ids"]])}
    if model.config.model_type == "bert":
        given["token_type_ids"] = torch.tensor([one.get("types", [0] * len(one["ids"]))])
    states = model(**given).last_hidden_state[0]
    return {"cls": states[0], "mean": states.mean(0), "last": states[-1]}[pooling]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--head", type=Path)
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--pooling", choices=["cls", "mean", "last"], help="by default last for decoders, else cls")
    options = parser.parse_args()

    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    model = loaded(options.folder, options.base)
    head = load_file(options.head or options.folder / "head.safetensors")
    inputs = json.loads((options.inputs or options.base / "golden.json").read_text())["inputs"]
    pooling = options.pooling or ("last" if model.config.model_type in DECODERS else "cls")
    with torch.no_grad():
        rows = torch.stack([features(model, one, pooling) for one in inputs])
        logits = rows @ head["signals.weight"].float().T + head["signals.bias"].float()
    print(json.dumps({"pooling": pooling, "features": rows.tolist(), "logits": logits.tolist()}))


if __name__ == "__main__":
    main()
