"""Measures PyTorch and ONNX Runtime beside Mindrail, on this machine, in one run.

Purpose: (i) the encoder alone; (ii) what a new turn costs a service that reads
         the flattened conversation again (its newest 512 tokens) each time,
         against Mindrail's one-turn step.
Inputs:  all-MiniLM-L6-v2 (`--base`: model.safetensors and tokenizer.json);
         `--mindrail`: the program, whose `model bench` runs before and after
         the peers of each number of threads (the mean of both counts).
Command: python scripts/bench_peers.py --output docs/bench_peers.json
Output:  JSON {"machine", "settings", "encoder": [{"runtime", "precision",
         "threads", "batch", "length", "median_ms"}], "turn": [{"runtime",
         "precision", "threads", "turns", "tokens", "median_ms"}]}, and a
         Markdown table of ratios (peer / Mindrail) on stdout.
         `--from peers.json` prints the table without measuring again.

Everything is in the peers' favour: sentences of equal length and so no
padding and no mask, earlier turns stay tokenised, and int8 weights are
quantised per channel (as fast as per tensor here, and closer to f32).
Run nothing else on the machine meanwhile.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from golden_encoder import minilm
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

WINDOW = 512
WORDS = (
    "the a we you they today soup bread rain garden river music table window letter morning evening little "
    "big green blue warm walked talked cooked played read wrote home school street with and but then because"
).split()
Encode = Callable[[np.ndarray], object]


class Pooled(torch.nn.Module):
    """Token numbers in, one mean vector per text out."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        self.bert = minilm(base)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.bert(input_ids=ids).last_hidden_state.mean(1)


def export(model: Pooled, folder: Path) -> dict[str, Path]:
    """The encoder as ONNX, in f32 and with dynamic int8."""
    paths = {"f32": folder / "encoder.onnx", "int8": folder / "encoder-int8.onnx"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.ones(2, 8, dtype=torch.long),), str(paths["f32"]), dynamo=False,
                          opset_version=17, input_names=["ids"], output_names=["vectors"],
                          dynamic_axes={"ids": {0: "batch", 1: "length"}})
    quantize_dynamic(str(paths["f32"]), str(paths["int8"]), weight_type=QuantType.QInt8, per_channel=True)
    return paths


def onnx_encoder(path: Path, threads: int) -> Encode:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda ids: session.run(None, {"ids": ids})[0]


def torch_encoder(model: Pooled) -> Encode:
    def encode(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(ids)).numpy()

    return encode


def peers(model: Pooled, paths: dict[str, Path], threads: int) -> Iterator[tuple[str, str, Encode]]:
    """One after the other, so that no idle thread pool disturbs the next."""
    torch.set_num_threads(threads)
    yield "pytorch", "f32", torch_encoder(model)
    for precision, path in paths.items():
        yield "onnxruntime", precision, onnx_encoder(path, threads)


def check(model: Pooled, paths: dict[str, Path]) -> dict[str, float]:
    """The exported models compute what PyTorch computes."""
    ids = np.random.default_rng(1).integers(1000, 20000, (3, 37))
    want = torch_encoder(model)(ids)
    found = {precision: onnx_encoder(path, 1)(ids) for precision, path in paths.items()}
    if not np.allclose(found["f32"], want, atol=1e-4):
        raise SystemExit("the exported encoder differs from PyTorch's: nothing was measured")
    cosine = (found["int8"] * want).sum(1) / np.linalg.norm(found["int8"], axis=1) / np.linalg.norm(want, axis=1)
    return {"int8_cosine_to_f32": round(float(cosine.min()), 4)}


def median_ms(action: Callable[[], object], warm_up: int, runs: int) -> float:
    times = []
    for i in range(warm_up + runs):
        start = time.perf_counter()
        action()
        if i >= warm_up:
            times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def ours(program: Path, threads: int) -> dict:
    command = [str(program), "model", "bench", "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def mean_of(before: dict, after: dict) -> dict:
    """Both runs list the same measurements in the same order. Our turn takes one
    thread however many there are, and is listed beside peers with as many."""
    threads = before["encoder"][0]["threads"]
    return {section: [a | {"threads": threads, "median_ms": round((a["median_ms"] + b["median_ms"]) / 2, 3)}
                      for a, b in zip(before[section], after[section], strict=True)]
            for section in ("encoder", "turn")}


def rows(model: Pooled, paths: dict[str, Path], options) -> dict[str, list[dict]]:
    """Every measurement, ours around the peers'."""
    found: dict[str, list[dict]] = {"encoder": [], "turn": []}
    for threads in options.threads:
        before = ours(options.mindrail, threads)
        own = {"encoder": list(encoder_rows(model, paths, threads, options)),
               "turn": list(turn_rows(model, paths, threads, options))}
        mean = mean_of(before, ours(options.mindrail, threads))
        for section in found:
            found[section] += mean[section] + own[section]
    return found


def encoder_rows(model: Pooled, paths: dict[str, Path], threads: int, options) -> Iterator[dict]:
    random = np.random.default_rng(1)
    inputs = {(b, n): random.integers(1000, 20000, (b, n)) for b in options.batches for n in options.lengths}
    for runtime, precision, encode in peers(model, paths, threads):
        for (batch, length), ids in inputs.items():
            measured = median_ms(lambda: encode(ids), options.warm_up, options.runs)
            yield {"runtime": runtime, "precision": precision, "threads": threads, "batch": batch,
                   "length": length, "median_ms": measured}


def turn_rows(model: Pooled, paths: dict[str, Path], threads: int, options) -> Iterator[dict]:
    tokenizer = Tokenizer.from_file(str(options.base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    opened, closed = (tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]"))
    tokens = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    random = np.random.default_rng(2)
    turn = lambda: " ".join(random.choice(WORDS, 30))
    for runtime, precision, encode in peers(model, paths, threads):
        for turns in options.turns:
            before = [t for _ in range(turns - 1) for t in tokens(turn())]
            new = turn()

            def arrive() -> np.ndarray:
                newest = (before + tokens(new))[-(WINDOW - 2) :]
                return np.array([[opened, *newest, closed]])

            measured = median_ms(lambda: encode(arrive()), options.warm_up, options.runs)
            yield {"runtime": runtime, "precision": precision, "threads": threads, "turns": turns,
                   "tokens": arrive().shape[1], "median_ms": measured}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def measure(options) -> dict:
    onnxruntime.set_default_logger_severity(3)
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises on every call
    model = Pooled(options.base).eval()
    with tempfile.TemporaryDirectory() as folder:
        paths = export(model, Path(folder))
        return {
            "machine": {"processor": processor(), "logical_cpus": os.cpu_count(), "load_before": os.getloadavg()[0],
                        "torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
            "settings": {"warm_up": options.warm_up, "runs": options.runs, "window": WINDOW} | check(model, paths),
        } | rows(model, paths, options)


def table(section: str, keys: list[str], measured: list[dict]) -> list[str]:
    """Milliseconds of every runtime; a peer's with the ratio to ours of the same precision."""
    times: dict = {}
    for row in measured:
        times.setdefault(tuple(row[k] for k in keys), {})[row["runtime"], row["precision"]] = row["median_ms"]
    columns = list(dict.fromkeys((r["runtime"], r["precision"]) for r in measured))
    lines = [f"### {section}", "", "| " + " | ".join(keys + [f"{r} {p}, ms" for r, p in columns]) + " |",
             "|" + "---:|" * (len(keys) + len(columns))]
    for key, own in sorted(times.items()):
        cells = []
        for runtime, precision in columns:
            ms, base = own.get((runtime, precision)), own.get(("mindrail", precision))
            ratio = f" ({ms / base:.2f} x)" if ms and base and runtime != "mindrail" else ""
            cells.append(f"{ms:.2f}{ratio}" if ms else "-")
        lines.append("| " + " | ".join([*map(str, key), *cells]) + " |")
    return lines + [""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=Path("base/all-MiniLM-L6-v2"))
    parser.add_argument("--output", type=Path, help="where the figures go")
    parser.add_argument("--from", dest="measured", type=Path, help="figures of an earlier run, instead of measuring")
    parser.add_argument("--mindrail", type=Path, default=Path("target/release/mindrail"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--turns", type=int, nargs="+", default=[2, 20, 200])
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--runs", type=int, default=25)
    options = parser.parse_args()

    result = json.loads(options.measured.read_text()) if options.measured else measure(options)
    for section, keys in {"encoder": ["threads", "batch", "length"], "turn": ["threads", "turns"]}.items():
        print("\n".join(table(section, keys, result[section])))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
