"""How long 10,000 clustered bootstrap draws of every figure of a protocol take.

Purpose: the speed of Mindrail's scoring, beside scikit-learn doing the same on
         the same predictions in one run on the same machine.
Inputs:  none; the program makes 24,000 predictions per protocol from a seed
         (crates/lab/examples/bench_scoring.rs) and hands them over as CSV.
Command: cargo build --release -p mindrail-lab --example bench_scoring
         python scripts/bench_scoring.py --output docs/bench_scoring.json
Output:  JSON {"machine", "settings", "mindrail": [{"protocol", "items",
         "clusters", "figures", "seconds"}], "scikit_learn": [{"protocol",
         "figures", "seconds_per_draw"}]}, and a Markdown table on stdout.

Mindrail's seconds hold all from answers to intervals, sums and sorting
included, on all threads; one run goes before that is not counted. scikit-learn
draws rows, which here are clusters of one, and is timed over --peer-draws draws, one thread, after two that are not counted,
and scaled to all draws, which would take hours. It is given its arrays; drawing
and indexing them is inside. It does distress and reply: the other two protocols
have figures that it does not have.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics

SMALLEST_SLICE = 20
PREVALENCES = (0.0015, 0.0055, 0.01, 0.05, 0.25)


def read(file: Path) -> dict[str, np.ndarray]:
    header, *lines = file.read_text().splitlines()
    columns = zip(header.split(","), zip(*(line.split(",") for line in lines)))
    return {name: np.array(cells) if name.startswith("slice_") else np.array(cells, float) for name, cells in columns}


def slices(data: dict[str, np.ndarray]) -> list[np.ndarray]:
    keys = [name for name in data if name.startswith("slice_")]
    masks = [data[key] == value for key in keys for value in np.unique(data[key])]
    return [mask for mask in masks if mask.sum() >= SMALLEST_SLICE]


def ratios(gold: np.ndarray, called: np.ndarray) -> list[float]:
    return list(metrics.precision_recall_fscore_support(gold, called, average="binary", zero_division=0)[:3])


def areas(gold: np.ndarray, scores: np.ndarray) -> list[float]:
    return [metrics.roc_auc_score(gold, scores), metrics.average_precision_score(gold, scores)]


def distress(data: dict[str, np.ndarray], groups: list[np.ndarray], own: np.ndarray) -> list[float]:
    gold, risk = data["high_risk"][own], data["risk"][own]
    called = risk >= 0.5
    tn, fp, _, _ = metrics.confusion_matrix(gold, called).ravel()
    found = ratios(gold, called) + areas(gold, risk)
    recall, fpr = found[1], fp / (fp + tn)
    found += [fpr, metrics.accuracy_score(gold, called), metrics.matthews_corrcoef(gold, called)]
    found += [recall * p / (recall * p + fpr * (1 - p)) for p in PREVALENCES]
    rates, recalls, _ = metrics.roc_curve(gold, risk)
    found += [recalls[rates <= most].max() for most in (0.01, 0.05, 0.1)]
    found += [1 - rates[recalls >= least].min() for least in (0.9, 0.95)]
    bins = np.minimum((risk * 10).astype(int), 9)
    found += [metrics.brier_score_loss(gold, risk), np.abs(np.bincount(bins, gold - risk)).sum() / len(gold)]
    for mask in groups:
        g, r, c = gold[mask[own]], risk[mask[own]], called[mask[own]]
        tn, fp, _, _ = metrics.confusion_matrix(g, c).ravel()
        found += ratios(g, c) + areas(g, r) + [fp / (fp + tn)]
    signals = []
    for place in range(9):
        g, p = data[f"gold_{place}"][own], data[f"p_{place}"][own]
        signals += ratios(g, p >= 0.5) + areas(g, p)
    return [*found, *signals, float(np.mean(signals[2::5]))]


def reply_counts(gold: np.ndarray, called: np.ndarray) -> list[float]:
    found = [metrics.accuracy_score(gold, called)]
    for average in ("macro", "weighted"):
        found += metrics.precision_recall_fscore_support(gold, called, average=average, zero_division=0)[:3]
    danger, cried = gold != 7, called != 7
    tn, fp, _, _ = metrics.confusion_matrix(danger, cried).ravel()
    return [*found, *ratios(danger, cried), metrics.accuracy_score(danger, cried), fp / (fp + tn)]


def reply(data: dict[str, np.ndarray], groups: list[np.ndarray], own: np.ndarray) -> list[float]:
    gold, called = data["gold"][own], data["called"][own]
    found = reply_counts(gold, called)
    found += np.concatenate(metrics.precision_recall_fscore_support(gold, called, average=None, zero_division=0)[:3]).tolist()
    found += [metrics.cohen_kappa_score(gold, called), metrics.matthews_corrcoef(gold, called)]
    for average in ("macro", "weighted"):
        found.append(metrics.f1_score(gold != 7, called != 7, average=average))
    found.append(metrics.roc_auc_score(gold != 7, data["unsafe"][own]))
    for mask in groups:
        found += reply_counts(gold[mask[own]], called[mask[own]])
    return found


def peer(name: str, figures, folder: Path, draws: int) -> dict:
    data = read(folder / f"{name}.csv")
    groups, rows = slices(data), len(next(iter(data.values())))
    random = np.random.default_rng(1)
    found = [figures(data, groups, random.integers(0, rows, rows)) for _ in range(2)]
    began = time.perf_counter()
    for _ in range(draws):
        figures(data, groups, random.integers(0, rows, rows))
    seconds = (time.perf_counter() - began) / draws
    return {"protocol": name, "figures": len(found[0]), "seconds_per_draw": round(seconds, 4)}


def processor() -> str:
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show(report: dict) -> None:
    draws = report["settings"]["draws"]
    peers = {one["protocol"]: one for one in report["scikit_learn"]}
    print("| protocol | items | clusters | figures | mindrail, s | scikit-learn, s |\n|---|---:|---:|---:|---:|---:|")
    for one in report["mindrail"]:
        middle = sorted(one["seconds"])[len(one["seconds"]) // 2]
        other = peers.get(one["protocol"])
        scaled = other["seconds_per_draw"] * draws if other else 0
        cell = f"{scaled:,.0f} ({scaled / middle:,.0f} x)" if other else ""
        print(f"| {one['protocol']} | {one['items']} | {one['clusters']} | {one['figures']} | {middle:.2f} | {cell} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("target/release/examples/bench_scoring"))
    parser.add_argument("--items", type=int, default=24_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-draws", type=int, default=10, help="draws of scikit-learn that are timed")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        command = [options.program, name, *map(str, (options.items, options.draws, options.runs))]
        mine = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        peers = [peer("distress", distress, Path(name), options.peer_draws)]
        peers.append(peer("reply", reply, Path(name), options.peer_draws))
    threads = int(os.environ.get("RAYON_NUM_THREADS", os.cpu_count() or 1))
    report = {
        "machine": {"processor": processor(), "logical_cpus": os.cpu_count(), "load_before": load},
        "settings": {
            "draws": options.draws,
            "runs": options.runs,
            "warm_up_runs": 1,
            "threads": threads,
            "peer_draws": options.peer_draws,
            "peer_threads": 1,
            "scikit_learn": sklearn.__version__,
            "numpy": np.__version__,
        },
        "mindrail": mine,
        "scikit_learn": peers,
    }
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    show(report)


if __name__ == "__main__":
    main()
