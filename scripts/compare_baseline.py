"""The embedded model beside TF-IDF + logistic regression, pair by pair.

Purpose: says whether the model beats the baseline by more than chance. Both answer
         the same conversations; `mindrail bench compare` draws families of
         conversations for both together, so that what makes a conversation hard
         for both cancels out.
Inputs:  corpus/; runs/embedded/predictions, left by `mindrail train embedded` (what
         each fold says of authors that it has not seen; the thresholds of both systems
         were chosen on these same rows, so F1 flatters both);
         runs/baseline, left by `python scripts/baseline_tfidf.py --predictions runs/baseline`.
Command: python3 scripts/compare_baseline.py --output docs/compare_baseline.json
Output:  JSON, and a Markdown table on stdout. Differences are model minus baseline.
         Runs target/release/mindrail; prints no conversation text.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

PROGRAM = "target/release/mindrail"
FIGURES = {"distress": ["auroc", "auprc", "f1", "recall_at_fpr_5pct"], "crisis": ["turn_f1", "dialogue_f1", "confirm_f1"]}
LONG, SHORT = "corpus/train_*.jsonl", "corpus/short_[!d]*.jsonl"
# Name, files, protocol, the model's predictions (none: the shipped bundle), the baseline's.
SETS = [
    ("dev, long and short", ["corpus/dev_*.jsonl", "corpus/short_dev_*.jsonl"], None, ""),
    ("authors left out, long", [LONG], "runs/embedded/predictions", "cross_"),
    ("authors left out, short", [SHORT], "runs/embedded/predictions", "cross_"),
    ("authors left out, all", [LONG, SHORT], "runs/embedded/predictions", "cross_"),
]
VIEWS = {"all": "all turns", "person": "person only"}


def predictions(source: Path, stems: set[str], folder: Path) -> str:
    """A copy of a predictions file with the rows of these files only."""
    rows = [line for line in source.read_text().splitlines() if json.loads(line)["id"].split(":")[0] in stems]
    target = folder / f"{source.parent.name}_{source.name}"
    target.write_text("\n".join(rows) + "\n")
    return f"predictions:{target}"


def bench(protocol: str, files: list[str], system: str, output: Path) -> Path:
    command = [PROGRAM, "bench", protocol, "--data", *files, "--system", system, "--output", str(output), "--overwrite"]
    subprocess.run([*command, "--resamples", "200"], check=True, capture_output=True)
    return output


def compared(protocol: str, view: str, chosen: tuple, options) -> list[dict]:
    """Rows of one comparison."""
    name, patterns, model, prefix = chosen
    files = sorted({str(f) for pattern in patterns for f in Path().glob(pattern)})
    stems = {Path(f).stem for f in files}
    suffix = "" if protocol == "crisis" else f"_{view}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours = predictions(Path(model) / f"{protocol}_{view}.jsonl", stems, folder) if model else "bundle"
        theirs = predictions(options.baseline / f"{prefix}{protocol}{suffix}.jsonl", stems, folder)
        runs = [bench(protocol, files, s, folder / n) for s, n in ((theirs, "baseline"), (ours, "model"))]
        command = [PROGRAM, "bench", "compare", *map(str, runs), "--resamples", str(options.resamples), "--json"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows = {r["figure"]: r for r in found["rows"] if r["slice"] is None}
    keys = ("b", "a", "difference", "interval", "p", "test")
    names = ("model", "baseline", "difference", "interval", "p", "test")
    return [
        {"set": name, "view": VIEWS[view], "figure": figure} | {n: rows[figure][k] for n, k in zip(names, keys)}
        for figure in FIGURES[protocol]
        if figure in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path, default=Path("runs/baseline"))
    parser.add_argument("--output", type=Path, default=Path("docs/compare_baseline.json"))
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    rows = []
    for chosen in SETS:
        for protocol in FIGURES:
            # The shipped program reads listeners where there are any, so dev has one
            # view; the baseline's onsets rest on the turn alone and have one too.
            views = ["all"] if chosen[2] is None or protocol == "crisis" else list(VIEWS)
            for view in views:
                rows += compared(protocol, view, chosen, options)
    options.output.write_text(json.dumps({"resamples": options.resamples, "rows": rows}, indent=1) + "\n")
    print("| conversations | turns read | figure | model | TF-IDF + LR | difference (95 %) | p |\n|---|---|---|---|---|---|---|")
    for r in rows:
        ends = r["interval"] or {}
        interval = f" ({ends['low']:+.3f} to {ends['high']:+.3f})" if ends else ""
        p = "" if r["p"] is None else f"{r['p']:.4f}"
        print(f"| {r['set']} | {r['view']} | {r['figure']} | {r['model']:.3f} | {r['baseline']:.3f} | {r['difference']:+.3f}{interval} | {p} |")


if __name__ == "__main__":
    main()
