"""Golden values for crates/core/src/calibration, computed with scikit-learn and scipy.

Run:  python scripts/golden_calibration.py > crates/core/tests/golden/calibration.json

Inputs are drawn with a fixed seed and are multiples of 1/256, so that ties occur and
single precision holds them exactly. The output holds inputs and expected values; the
Rust tests read nothing else.
"""

import json
import random

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import binom
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression


def on_grid(value):
    return round(min(max(value, 0), 1) * 256) / 256


def scored(rng, rows, noise):
    labels = [int(rng.random() < 0.4) for _ in range(rows)]
    labels[:2] = [0, 1]  # Both classes must occur.
    return [on_grid(rng.gauss(0.35 + 0.3 * y, noise)) for y in labels], labels


def isotonic_case(rng, rows, noise):
    scores, labels = scored(rng, rows, noise)
    fitted = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(scores, labels)
    at = [i / 64 for i in range(65)]
    return {
        "scores": scores,
        "labels": labels,
        "knots": [fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()],
        "at": at,
        "values": fitted.predict(at).tolist(),
    }


def losses(theta, features, labels, c):
    """C x (sum of log losses) + 1/2 w.w, and its gradient."""
    z = features @ theta[:-1] + theta[-1]
    loss = c * np.sum(np.logaddexp(0, z) - labels * z) + 0.5 * theta[:-1] @ theta[:-1]
    slack = c * (expit(z) - labels)
    return loss, np.append(features.T @ slack + theta[:-1], slack.sum())


def logistic_case(rng, rows, width, c):
    labels = np.array([int(rng.random() < 0.4) for _ in range(rows)])
    labels[:2] = [0, 1]
    # Signals follow the label more or less; every third speaks against it.
    pull = [(0.4 if i % 3 else -0.25) for i in range(width)]
    features = np.array(
        [[on_grid(rng.gauss(0.4 + pull[i] * (y - 0.5), 0.25)) for i in range(width)] for y in labels]
    )
    free = LogisticRegression(C=c, tol=1e-12, max_iter=100_000).fit(features, labels)
    bounds = [(0, None)] * width + [(None, None)]
    # Started from several places, tightly; the problem is convex, so they must agree.
    starts = [np.zeros(width + 1), np.ones(width + 1)]
    options = {"ftol": 1e-16, "gtol": 1e-11, "maxiter": 100_000, "maxfun": 1_000_000}
    found = [
        minimize(losses, s, (features, labels, c), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for s in starts
    ]
    assert np.allclose(found[0].x, found[1].x, atol=1e-5), found
    best = min(found, key=lambda own: own.fun).x
    return {
        "features": features.tolist(),
        "labels": labels.tolist(),
        "c": c,
        "free": {"weights": free.coef_[0].tolist(), "bias": float(free.intercept_[0])},
        "monotone": {"weights": best[:-1].tolist(), "bias": float(best[-1])},
    }


def temperature_case(rng, rows, noise):
    scores, labels = scored(rng, rows, noise)
    scores = [min(max(s, 1 / 256), 255 / 256) for s in scores]
    z, y = logit(np.array(scores)), np.array(labels)
    loss = lambda a: np.sum(np.logaddexp(0, a * z) - y * a * z)
    best = minimize_scalar(loss, bounds=(1e-3, 100), method="bounded", options={"xatol": 1e-10})
    return {"scores": scores, "labels": labels, "temperature": 1 / best.x}


def band_case(rng, rows, noise, of_calls):
    """Fixed-sequence testing written out threshold by threshold, in exact scipy tails."""
    scores, labels = scored(rng, rows, noise)
    miss, false, delta = 0.1, 0.2, 0.2
    s, y = np.array(scores), np.array(labels)

    def kept(called, wrong, limit):
        errors = int((called & wrong).sum())
        trials = int(called.sum()) if of_calls else int(wrong.sum())
        return trials > 0 and binom.cdf(errors, trials, limit) <= delta / 2

    grid = np.arange(0, 257) / 256
    low = None
    start = np.float32(miss) if of_calls else 0
    for t in [start, *grid[grid > start]]:
        if not kept(s < t, y == 1, miss):
            break
        low = t
    high = None
    start = np.float32(1 - false) if of_calls else 2
    for t in [start, *grid[::-1][grid[::-1] < start]]:
        if not kept(s >= t, y == 0, false):
            break
        high = t
    # The ends are compared by whom they call.
    return {
        "scores": scores,
        "labels": labels,
        "rate": "of_calls" if of_calls else "of_class",
        "target": [miss, false, delta],
        "low_called": None if low is None else int((s < low).sum()),
        "high_called": None if high is None else int((s >= high).sum()),
        "overlap": low is not None and high is not None and bool(high < low),
    }


def main():
    rng = random.Random(20261130)
    golden = {
        "isotonic": [isotonic_case(rng, *c) for c in [(8, 0.2), (40, 0.2), (200, 0.3), (600, 0.1)]],
        "logistic": [
            logistic_case(rng, *c) for c in [(40, 3, 1.0), (120, 9, 0.1), (120, 9, 10.0), (300, 5, 1.0)]
        ],
        "temperature": [temperature_case(rng, *c) for c in [(30, 0.3), (200, 0.2), (200, 0.5)]],
        "band": [
            band_case(rng, rows, noise, of_calls)
            for rows, noise in [(60, 0.2), (200, 0.15), (400, 0.25), (400, 0.06), (1000, 0.2)]
            for of_calls in [False, True]
        ],
    }
    print(json.dumps(golden))


if __name__ == "__main__":
    main()
