"""How long 10,000 clustered bootstrap draws of every reply figure take.

Purpose: the speed figure of `mindrail bench`, beside scikit-learn on the same
         predictions in one run on the same machine.
Inputs:  none; 24,000 rows in 2,400 clusters are made from a seed.
Command: python scripts/bench_scoring.py [--program target/release/mindrail]
Output:  a table: seconds for all draws, and the ratio. scikit-learn is timed
         over --draws draws and scaled, since all of them take many minutes.

Both compute, for each draw: accuracy, macro and weighted precision, recall and
F1 over eight classes, each class's three figures, kappa, Matthews' correlation,
the binary view, and the AUROC of the unsafe probability. The program's time is
that of its run with 10,000 draws less its run with none, so that reading the
files is in neither.
"""

import argparse
import csv
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn import metrics

ROWS, CLUSTERS, CLASSES, DRAWS = 24_000, 2_400, 8, 10_000
NAMES = [
    "Nonsense", "Humanoid Mimicry", "Linguistic Neglect", "Unamiable Judgment",
    "Toxic Language", "Unauthorized Preachment", "Nonfactual Statement", "Safe Response",
]  # fmt: skip


def make(seed: int):
    draw = np.random.default_rng(seed)
    share = np.array([0.07, 0.02, 0.3, 0.05, 0.05, 0.05, 0.04, 0.42])
    gold = draw.choice(CLASSES, ROWS, p=share)
    logits = draw.normal(size=(ROWS, CLASSES))
    logits[np.arange(ROWS), gold] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return gold, probabilities, np.arange(ROWS) % CLUSTERS


def write(folder: Path, gold, probabilities, clusters) -> None:
    rows = [
        {"context": f"[seeker]cluster number {c} says this sentence", "response": f"[supporter]reply {i}", "label": int(g)}
        for i, (g, c) in enumerate(zip(gold, clusters))
    ]
    (folder / "data.json").write_text(json.dumps(rows))
    with open(folder / "predictions.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "class", *NAMES])
        for i, p in enumerate(probabilities):
            out.writerow([f"row-{i + 1}", int(p.argmax()), *(f"{x:.6f}" for x in p)])


def ours(program: Path, folder: Path, draws: int) -> float:
    command = [program, "bench", "reply", "--data", folder / "data.json", "--overwrite", "--output", folder / "run"]
    command += ["--system", f"predictions:{folder / 'predictions.csv'}", "--resamples", str(draws)]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def theirs(gold, probabilities, clusters, draws: int) -> float:
    draw = np.random.default_rng(1)
    members = [np.flatnonzero(clusters == c) for c in range(CLUSTERS)]
    called = probabilities.argmax(1)
    unsafe = 1 - probabilities[:, -1]
    began = time.perf_counter()
    for _ in range(draws):
        own = np.concatenate([members[c] for c in draw.integers(0, CLUSTERS, CLUSTERS)])
        g, p = gold[own], called[own]
        metrics.accuracy_score(g, p)
        for average in ("macro", "weighted", None):
            metrics.precision_recall_fscore_support(g, p, average=average, zero_division=0)
        metrics.cohen_kappa_score(g, p)
        metrics.matthews_corrcoef(g, p)
        metrics.precision_recall_fscore_support(g != 7, p != 7, average="binary", zero_division=0)
        metrics.roc_auc_score(g != 7, unsafe[own])
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("target/release/mindrail"))
    parser.add_argument("--draws", type=int, default=40, help="draws of scikit-learn that are timed")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    gold, probabilities, clusters = make(7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, gold, probabilities, clusters)
        ours(options.program, folder, 0)  # warm-up
        mine = [ours(options.program, folder, DRAWS) - ours(options.program, folder, 0) for _ in range(options.runs)]
    theirs(gold, probabilities, clusters, 2)  # warm-up
    peer = theirs(gold, probabilities, clusters, options.draws) / options.draws * DRAWS
    best = sorted(mine)[len(mine) // 2]
    print(f"{ROWS} predictions, {CLUSTERS} clusters, {DRAWS} draws, {os.cpu_count()} cores")
    print(f"mindrail      {best:8.2f} s (median of {len(mine)}: {', '.join(f'{x:.2f}' for x in mine)})")
    print(f"scikit-learn  {peer:8.0f} s (scaled from {options.draws} draws, one thread)")
    print(f"ratio         {peer / best:8.0f} x")


if __name__ == "__main__":
    main()
