"""Golden values for crates/core/src/metrics, computed with scikit-learn and scipy.

Run:  python scripts/golden_metrics.py > crates/core/tests/golden/metrics.json

The inputs are drawn with a fixed seed and rounded, so that ties occur. The
output holds inputs and expected values; the Rust tests read nothing else.
"""

import json
import random

from scipy.stats import binomtest
from sklearn import metrics


def binary_case(rng, rows, digits):
    labels = [int(rng.random() < 0.4) for _ in range(rows)]
    labels[:2] = [0, 1]  # Both classes must occur.
    scores = [round(min(max(rng.gauss(0.35 + 0.3 * y, 0.25), 0), 1), digits) for y in labels]
    called = [int(s >= 0.5) for s in scores]
    fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    return {
        "scores": scores,
        "labels": labels,
        "auroc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
        "brier": metrics.brier_score_loss(labels, scores),
        "recall_at_fpr_0.1": max(t for f, t in zip(fpr, tpr) if f <= 0.1),
        "precision": metrics.precision_score(labels, called, zero_division=0),
        "recall": metrics.recall_score(labels, called, zero_division=0),
        "f1": metrics.f1_score(labels, called, zero_division=0),
    }


def multiclass_case(rng, rows, classes, used):
    gold = [rng.randrange(used) for _ in range(rows)]
    predicted = [g if rng.random() < 0.6 else rng.randrange(used) for g in gold]
    p, r, f, s = metrics.precision_recall_fscore_support(
        gold, predicted, labels=list(range(classes)), zero_division=0
    )
    return {
        "classes": classes,
        "gold": gold,
        "predicted": predicted,
        "macro_f1": metrics.f1_score(gold, predicted, average="macro", zero_division=0),
        "weighted_f1": metrics.f1_score(gold, predicted, average="weighted", zero_division=0),
        "accuracy": metrics.accuracy_score(gold, predicted),
        "precision": p.tolist(),
        "recall": r.tolist(),
        "f1": f.tolist(),
        "support": s.tolist(),
    }


def multilabel_case(rng, rows, labels):
    gold = [[int(rng.random() < 0.3) for _ in range(labels)] for _ in range(rows)]
    predicted = [[g if rng.random() < 0.7 else 1 - g for g in row] for row in gold]
    return {
        "gold": gold,
        "predicted": predicted,
        "precision": metrics.precision_score(gold, predicted, average="micro"),
        "recall": metrics.recall_score(gold, predicted, average="micro"),
        "f1": metrics.f1_score(gold, predicted, average="micro"),
    }


def wilson_case(successes, trials):
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return {"counts": [successes, trials], "low": interval.low, "high": interval.high}


def main():
    rng = random.Random(20260101)
    golden = {
        "binary": [binary_case(rng, n, d) for n, d in [(12, 1), (40, 1), (60, 2), (80, 4)]],
        "multiclass": [multiclass_case(rng, *c) for c in [(10, 3, 3), (60, 8, 8), (50, 8, 5)]],
        "multilabel": multilabel_case(rng, 30, 9),
        "wilson": [wilson_case(*c) for c in [(0, 10), (3, 10), (10, 10), (41, 42), (206, 215)]],
    }
    print(json.dumps(golden))


if __name__ == "__main__":
    main()
