"""Golden values for crates/core/src/metrics, computed with scikit-learn and scipy.

Run:  python scripts/golden_metrics.py > crates/core/tests/golden/metrics.json

The inputs are drawn with a fixed seed and rounded, so that ties occur. The
output holds inputs and expected values; the Rust tests read nothing else.
"""

import json
import random

import numpy as np
from scipy.stats import binomtest, bootstrap, chi2, norm
from sklearn import metrics
from sklearn.calibration import calibration_curve


def binary_case(rng, rows, digits):
    labels = [int(rng.random() < 0.4) for _ in range(rows)]
    labels[:2] = [0, 1]  # Both classes must occur.
    scores = [round(min(max(rng.gauss(0.35 + 0.3 * y, 0.25), 0), 1), digits) for y in labels]
    called = [int(s >= 0.5) for s in scores]
    fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)
    # Scikit-learn ends with (recall 0, precision 1) and starts at the lowest score.
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]
    # Off the edges of bins, which scikit-learn closes above and we close below.
    off_edge = [round(0.999 * s + 0.000333, 6) for s in scores]
    share, mean = calibration_curve(labels, off_edge, n_bins=5, strategy="uniform")
    weights = [round(0.25 + (i * 7 % 11) / 4, 2) for i in range(rows)]
    tn, fp, fn, tp = metrics.confusion_matrix(labels, called).ravel()
    return {
        "recall_at_fpr": {
            str(m): max(t for f, t in zip(fpr, tpr) if f <= m) for m in [0.01, 0.05, 0.1]
        },
        "specificity_at_recall": {
            str(m): max(1 - f for f, t in zip(fpr, tpr) if t >= m) for m in [0.9, 0.95]
        },
        "weights": weights,
        "weighted_auroc": metrics.roc_auc_score(labels, scores, sample_weight=weights),
        "specificity": tn / (tn + fp),
        "accuracy": metrics.accuracy_score(labels, called),
        "mcc": metrics.matthews_corrcoef(labels, called),
        "roc_fpr": fpr.tolist(),
        "roc_tpr": tpr.tolist(),
        "pr_recall": recall.tolist(),
        "pr_precision": precision.tolist(),
        "reliability_scores": off_edge,
        "reliability_mean": mean.tolist(),
        "reliability_share": share.tolist(),
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

    def averages(average):
        scores = metrics.precision_recall_fscore_support(
            gold, predicted, average=average, zero_division=0
        )
        return dict(zip(["precision", "recall", "f1"], scores))

    return {
        "macro": averages("macro"),
        "weighted": averages("weighted"),
        "kappa": metrics.cohen_kappa_score(gold, predicted),
        "kappa_linear": metrics.cohen_kappa_score(
            gold, predicted, labels=list(range(classes)), weights="linear"
        ),
        "kappa_quadratic": metrics.cohen_kappa_score(
            gold, predicted, labels=list(range(classes)), weights="quadratic"
        ),
        "mcc": metrics.matthews_corrcoef(gold, predicted),
        "confusion": metrics.confusion_matrix(
            gold, predicted, labels=list(range(classes))
        ).tolist(),
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
    macro = {"average": "macro", "zero_division": 0}
    return {
        "macro_precision": metrics.precision_score(gold, predicted, **macro),
        "macro_recall": metrics.recall_score(gold, predicted, **macro),
        "macro_f1": metrics.f1_score(gold, predicted, **macro),
        "label_f1": metrics.f1_score(gold, predicted, average=None, zero_division=0).tolist(),
        "exact_match": metrics.accuracy_score(gold, predicted),
        "jaccard_samples": metrics.jaccard_score(
            np.array(gold), np.array(predicted), average="samples", zero_division=0
        ),
        "phi_0_1": float(np.corrcoef([r[0] for r in gold], [r[1] for r in gold])[0, 1]),
        "gold": gold,
        "predicted": predicted,
        "precision": metrics.precision_score(gold, predicted, average="micro"),
        "recall": metrics.recall_score(gold, predicted, average="micro"),
        "f1": metrics.f1_score(gold, predicted, average="micro"),
    }


def wilson_case(successes, trials):
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return {"counts": [successes, trials], "low": interval.low, "high": interval.high}


def clopper_pearson_case(successes, trials):
    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return {"counts": [successes, trials], "low": interval.low, "high": interval.high}


def mcnemar_case(b, c):
    """Exact up to 1,000 discordant rows, as in statsmodels' mcnemar(exact=True)."""
    if b + c <= 1_000:
        p_value = binomtest(min(b, c), b + c).pvalue
    else:
        p_value = chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1)
    return {"counts": [b, c], "p_value": float(p_value)}


def bca_case(rng):
    """Efron's formulas written with numpy and scipy.stats.norm."""
    draws = np.round([rng.gauss(0.62, 0.08) ** 2 for _ in range(400)], 4)
    jackknife = np.round([0.39 + 0.02 * rng.expovariate(1) for _ in range(50)], 6)
    estimate = 0.39
    bias = norm.ppf(((draws < estimate).sum() + (draws <= estimate).sum()) / 2 / len(draws))
    gaps = jackknife.mean() - jackknife
    acceleration = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5)
    shifted = bias + norm.ppf([0.025, 0.975])
    levels = norm.cdf(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(draws, levels)
    return {
        "draws": draws.tolist(),
        "jackknife": jackknife.tolist(),
        "estimate": estimate,
        "low": low,
        "high": high,
    }


def scipy_bootstrap_case(rng):
    values = [round(rng.expovariate(1), 4) for _ in range(60)]

    def interval(method):
        found = bootstrap(
            (np.array(values),),
            np.var,
            n_resamples=200_000,
            batch=10_000,
            method=method,
            rng=np.random.default_rng(5),
        ).confidence_interval
        return [found.low, found.high]

    return {"values": values, "percentile": interval("percentile"), "bca": interval("BCa")}


def holm_case():
    """Holm's adjusted p-values by their definition."""
    raw = [0.011, 0.2, 0.011, 0.9, 0.0004, 0.03]
    order = sorted(range(len(raw)), key=raw.__getitem__)
    adjusted, largest = [0.0] * len(raw), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1, (len(raw) - rank) * raw[place]))
        adjusted[place] = largest
    return {"raw": raw, "adjusted": adjusted}


def main():
    rng = random.Random(20260101)
    golden = {
        "binary": [binary_case(rng, n, d) for n, d in [(12, 1), (40, 1), (60, 2), (80, 4)]],
        "multiclass": [multiclass_case(rng, *c) for c in [(10, 3, 3), (60, 8, 8), (50, 8, 5)]],
        "multilabel": multilabel_case(rng, 30, 9),
        "wilson": [wilson_case(*c) for c in [(0, 10), (3, 10), (10, 10), (41, 42), (206, 215)]],
        "clopper_pearson": [
            clopper_pearson_case(*c)
            for c in [(0, 10), (3, 10), (10, 10), (1, 1), (41, 42), (206, 215), (703, 4527), (29, 150_000)]
        ],
        "mcnemar": [
            mcnemar_case(*c)
            for c in [(0, 5), (1, 5), (10, 24), (100, 160), (480, 520), (700, 560), (9_000, 9_100)]
        ],
        "bca": bca_case(rng),
        "scipy_bootstrap": scipy_bootstrap_case(rng),
        "holm": holm_case(),
    }
    print(json.dumps(golden))


if __name__ == "__main__":
    main()
