#!/usr/bin/env python3
"""Training and inference of hub checkpoints beside PyTorch and ONNX Runtime.

Every cell is measured in a process of its own, one after another, the engines of a cell
in turn, so that a slow minute of a shared machine falls on all of them; a cell is the
median of its rounds. Nothing else should run. Writes docs/bench_finetune.json.

    cargo build --release -p mindrail-finetune --example finetune_speed
    python scripts/bench_finetune.py --base base/all-MiniLM-L6-v2 [--quick]

The base needs config.json beside its weights. A BERT-base-sized checkpoint with random
weights is made in a temporary folder: its speed is that of any of its size.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "target/release/examples/finetune_speed"
TRAINING = [(16, 64), (16, 128)]
BUDGET = 4096
INFERENCE = [(1, 32), (1, 128), (1, 512), (8, 32), (8, 128), (32, 32), (32, 128), (32, 512)]


def torch_training(base, batch, tokens, steps, attention):
    """A step of PyTorch as its documentation advises: SDPA and the fused AdamW, or eager."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(base, attn_implementation=attention, dtype=torch.float32, add_pooling_layer=False).train()
    head = torch.nn.Linear(model.config.hidden_size, 9)
    trained = list(model.parameters()) + list(head.parameters())
    adam = torch.optim.AdamW(trained, lr=2e-5, weight_decay=0.01, fused=attention == "sdpa")
    ids = torch.randint(200, model.config.vocab_size, (batch, tokens))
    targets = (torch.rand(batch, 9) < 0.3).float()
    mask = torch.ones_like(ids)

    def step():
        rows = model(input_ids=ids, attention_mask=mask).last_hidden_state
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(rows.mean(1)), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        adam.zero_grad()

    return timed(step, steps)


def torch_inference(base, batch, tokens, steps):
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(base, attn_implementation="sdpa", dtype=torch.float32, add_pooling_layer=False).eval()
    ids = torch.randint(200, model.config.vocab_size, (batch, tokens))
    mask = torch.ones_like(ids)

    def step():
        with torch.inference_mode():
            model(input_ids=ids, attention_mask=mask).last_hidden_state.mean(1)

    return timed(step, steps)


def onnx_inference(path, batch, tokens, steps, threads):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ids = numpy.random.randint(200, 30000, (batch, tokens)).astype(numpy.int64)
    given = {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}
    return timed(lambda: session.run(None, given), steps)


def batches(lengths, way):
    """Indices in batches: as they come, 32 at a time, or sorted and filled up to a budget of
    tokens with padding, which is text-embeddings-inference's way."""
    if way == "padded":
        return [list(range(i, min(i + 32, len(lengths)))) for i in range(0, len(lengths), 32)]
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    found = [[]]
    for i in order:
        if found[-1] and (len(found[-1]) + 1) * lengths[found[-1][0]] > BUDGET:
            found.append([])
        found[-1].append(i)
    return found


def mixed(engine, base, file, steps, threads):
    """One pass over inputs of many lengths, padded within each batch."""
    import numpy

    lengths = [int(line) for line in Path(file).read_text().split()]
    runtime, way = engine.split("-")[1:]
    run = torch_runner(base) if runtime == "torch" else onnx_runner(base, threads)
    given = []
    for batch in batches(lengths, way):
        mask = numpy.zeros((len(batch), max(lengths[i] for i in batch)), dtype=numpy.int64)
        for row, i in enumerate(batch):
            mask[row, : lengths[i]] = 1
        given.append((numpy.random.randint(200, 30000, mask.shape).astype(numpy.int64) * mask, mask))
    return timed(lambda: [run(ids, mask) for ids, mask in given], steps)


def torch_runner(base):
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(base, attn_implementation="sdpa", dtype=torch.float32, add_pooling_layer=False).eval()

    def run(ids, mask):
        with torch.inference_mode():
            mask = torch.from_numpy(mask)
            rows = model(input_ids=torch.from_numpy(ids), attention_mask=mask).last_hidden_state
            (rows * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    return run


def onnx_runner(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})


def real_lengths(base, path):
    """Token counts of the corpus's dev conversations, cut at 512, in a file."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{base}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [
        "\n".join(turn["text"] for turn in json.loads(line)["turns"])
        for name in ("short_dev_p", "dev_f")
        for line in (ROOT / f"corpus/{name}.jsonl").open()
    ]
    lengths = [min(len(tokenizer.encode(text).ids), 512) for text in texts]
    random.Random(7).shuffle(lengths)
    Path(path).write_text("".join(f"{length}\n" for length in lengths))
    return lengths


def timed(step, steps):
    times = []
    for round_ in range(steps + 3):
        begin = time.perf_counter()
        step()
        if round_ >= 3:
            times.append((time.perf_counter() - begin) * 1e3)
    return times


def export(base, path):
    """The backbone as ONNX, for the runtime's side of the table."""
    import torch
    from transformers import AutoModel

    class Rows(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.mean(1)

    model = Rows(AutoModel.from_pretrained(base, attn_implementation="eager", dtype=torch.float32).eval())
    ids = torch.ones(2, 16, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        model, (ids, ids), path, input_names=["input_ids", "attention_mask"], output_names=["rows"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes}, dynamo=False,
    )


def random_bert_base(folder):
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(folder)


def child(arguments):
    """One measurement of a Python engine, printed as JSON."""
    engine, base, *shape, steps, threads = arguments
    steps, threads = int(steps), int(threads)
    batch, tokens = map(int, shape) if len(shape) == 2 else (0, 0)
    if engine.startswith("mixed"):
        if "torch" in engine:
            import torch

            torch.set_num_threads(threads)
        times = mixed(engine, base, shape[0], steps, threads)
    elif engine == "onnxruntime":
        times = onnx_inference(base, batch, tokens, steps, threads)
    else:
        import torch

        torch.set_num_threads(threads)
        if engine == "torch-infer":
            times = torch_inference(base, batch, tokens, steps)
        else:
            times = torch_training(base, batch, tokens, steps, engine.split("-")[-1])
    # Not `ru_maxrss`, which a process takes over from whoever started it.
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"ms": times, "peak_mib": peak / 1024}))


def measure(engine, base, shape, steps, threads):
    """The times of an engine and the most memory it held. A shape is batch and tokens, or a
    file of lengths."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
    if engine.startswith("mindrail"):
        command = [str(OURS), engine.split("-")[-1], base, *map(str, shape), str(steps)]
    else:
        command = [sys.executable, __file__, "--child", engine, base, *map(str, (*shape, steps, threads))]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found = json.loads(out.strip().splitlines()[-1])
    return found["ms"], found["peak_mib"]


def cell(engines, shape, threads, rounds, steps):
    """Medians of every engine, measured in turn."""
    times, peaks = {}, {}
    for _ in range(rounds):
        for name, base in engines:
            ms, peak = measure(name, base, shape, steps, threads)
            times.setdefault(name, []).extend(ms)
            peaks[name] = max(peaks.get(name, 0), peak)
    row = {"threads": threads}
    if len(shape) == 2:
        row = {"batch": shape[0], "tokens": shape[1], **row}
    for name, _ in engines:
        row[name] = {"ms": round(statistics.median(times[name]), 2), "peak_mib": round(peaks[name])}
    print(row, flush=True)
    return row


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quick", action="store_true", help="MiniLM alone, one round")
    parser.add_argument("--output", default=str(ROOT / "docs/bench_finetune.json"))
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    base = arguments.base
    report = {"machine": machine(), "rounds": {"training": rounds, "inference": 1}, "steps": arguments.steps, "warm_up": 3, "training": [], "inference": {}, "mixed": {}}
    def keep():
        # After every cell: a run that is stopped keeps what it has measured.
        Path(arguments.output).write_text(json.dumps(report, indent=1) + "\n")

    engines = [("mindrail-train", base), ("torch-sdpa", base), ("torch-eager", base)]
    for batch, tokens in TRAINING:
        for threads in arguments.threads:
            report["training"].append(cell(engines, (batch, tokens), threads, rounds, arguments.steps))
            keep()
    with tempfile.TemporaryDirectory() as folder:
        models = {"MiniLM": base}
        if not arguments.quick:
            models["BERT-base"] = f"{folder}/bert"
            random_bert_base(models["BERT-base"])
        for name, path in models.items():
            onnx = f"{folder}/{name}.onnx"
            export(path, onnx)
            engines = [("mindrail-infer", path), ("torch-infer", path), ("onnxruntime", onnx)]
            rows = report["inference"].setdefault(name, [])
            for batch, tokens in INFERENCE:
                if name == "MiniLM" or batch * tokens <= 4096:
                    rows.append(cell(engines, (batch, tokens), max(arguments.threads), 1, arguments.steps))
                    keep()
            if name == "MiniLM":
                report["mixed"][name] = mixed_cell(base, path, onnx, folder, arguments)
                keep()


def mixed_cell(base, path, onnx, folder, arguments):
    lengths = real_lengths(base, f"{folder}/lengths")
    engines = [
        ("mindrail-mixed", path), ("mixed-torch-padded", path), ("mixed-torch-budget", path),
        ("mixed-onnx-budget", onnx),
    ]
    row = cell(engines, (f"{folder}/lengths",), max(arguments.threads), 1, 3)
    ordered = sorted(lengths)
    return {"inputs": len(lengths), "tokens": sum(lengths), "median": ordered[len(ordered) // 2], **row}


def machine():
    import onnxruntime
    import torch
    import transformers

    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    versions = {m.__name__: m.__version__ for m in (torch, transformers, onnxruntime)}
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()
