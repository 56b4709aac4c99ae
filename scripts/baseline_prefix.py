"""How much of the KHP label can be told from style alone, before and after reading.

Purpose: the prefix-only baseline (distress.md, section 6, 12). On the raw text
         the speaker style betrays the label; on what Mindrail's model sees it
         must not. Length is reported for information: the reader cannot and
         does not hide how long a conversation is.
Inputs:  KHP's scratch, pair, pair_hard, camel and camel_hard rows and the
         low-risk ESConv rows, from `--khp`.
Command: python scripts/baseline_prefix.py --output docs/baseline_prefix.json
Output:  JSON: AUC and F1 (at 0.5) of a small boosted model on each group of
         features, out of fold over 5 stratified folds, with 95 % bootstrap
         intervals. F1 of calling every row is given, since it is not 0.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from conversations import MARK, ROLES, Turn, decisions, draws, marks, ranking
from conversations import read_csv, summary, to_last_user, transcript
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.model_selection import StratifiedKFold, cross_val_predict

GENERATED = ("scratch", "pair", "pair_hard", "camel", "camel_hard")
Features = dict[str, float | str]


def rows(khp: Path) -> list[tuple[str, int, str]]:
    """Source, label and raw text of every row."""
    found = [(s, r) for s in GENERATED for r in read_csv(khp / f"generated_{s}.csv")]
    found += [("esconv", r) for r in read_csv(khp / "esconv_preprocessed.csv") if r["label"] == "0"]
    return [(source, int(r["label"]), r["text"]) for source, r in found]


def prefix(text: str) -> Features:
    """The spelling and weight of each speaker's first mark."""
    found: Features = {}
    for *_, name, role, bold in marks(text):
        found.setdefault(role, f"**{name}**" if bold else name)
    return found


def seen_text(text: str) -> list[Turn]:
    """The turns as the model sees them."""
    return to_last_user(transcript(text))


def remaining(text: str) -> Features:
    """What of the setting is left in the turns that the model sees."""
    turns = seen_text(text)
    whole = "\n".join(t.text for t in turns)
    names = Counter(m[2] for t in turns for m in MARK.finditer(t.text) if m[2].lower() in ROLES)
    return {
        "bold": whole.count("**"),
        "rules": len(re.findall(r"^\s*[-=—*_]{3,}\s*$", whole, re.M)),
        "rules_in_lines": whole.count("---"),
        "blank_lines_per_turn": len(re.findall(r"\n[^\S\n]*(?=\n)", whole)) / len(turns),
        "double_spaces": len(re.findall(r"[^\S\n]{2,}", whole)),
    } | {f"name {n}": count for n, count in names.items()}


def length(text: str) -> Features:
    """Turns, words and characters, of what the model sees."""
    turns, found = seen_text(text), {}
    for role in ("user", "assistant"):
        said = [t.text for t in turns if t.role == role]
        count = [len(s.split()) for s in said] or [0]
        found |= {f"{role}_turns": len(said), f"{role}_words": sum(count), f"{role}_mean": float(np.mean(count)),
                  f"{role}_longest": max(count), f"{role}_characters": sum(map(len, said))}
    return found


def evaluate(features: list[Features], labels: np.ndarray, seed: int, resamples: int) -> dict:
    x = DictVectorizer(sparse=False).fit_transform(features)
    varying = int((x.max(0) > x.min(0)).sum())
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = GradientBoostingClassifier(n_estimators=80, max_depth=3, random_state=seed)
    scores = cross_val_predict(model, x, labels, cv=folds, method="predict_proba")[:, 1]
    counts = draws(len(labels), resamples, seed)
    figures = {"auc": ranking(scores, labels, counts)["auc"],
               "f1": decisions(scores >= 0.5, labels, counts)["f1"]}
    used = {"features": x.shape[1], "features_that_vary": varying,
            "rows_unlike_the_commonest": int(len(x) - np.unique(x, axis=0, return_counts=True)[1].max())}
    return used | {name: summary(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--khp", type=Path, default=Path("../shared/data/khp"))
    parser.add_argument("--output", type=Path, default=Path("docs/baseline_prefix.json"))
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    found = rows(options.khp)
    labels = np.array([label for _, label, _ in found])
    generated = [i for i, (source, _, _) in enumerate(found) if source != "esconv"]
    result = {
        "rows": dict(Counter(source for source, _, _ in found)) | {"high": int(labels.sum())},
        "model": "gradient boosting, 80 trees of depth 3, 5-fold out-of-fold scores",
        "intervals": f"95 %, bootstrap by row, {options.resamples} resamples, seed {options.seed}",
        "f1_of_calling_every_row": round(float(2 * labels.sum() / (len(labels) + labels.sum())), 4),
    }
    for name, features in {"raw_prefix": prefix, "seen_setting": remaining, "seen_length": length}.items():
        table = [features(text) for _, _, text in found]
        result[name] = evaluate(table, labels, options.seed, options.resamples)
        own = [table[i] for i in generated]
        result[f"{name}_generated_only"] = evaluate(own, labels[generated], options.seed, options.resamples)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
