"""TF-IDF + logistic regression on the rows that the embedded model trains on.

Purpose: the yardstick beside the embedded model's figures in its model card.
Inputs:  the sources, folds and weights of `configs/embedded.toml`.
Command: python scripts/baseline_tfidf.py --output docs/baseline_tfidf.json
Output:  JSON. `dev`: trained on all train sources, tested on the dev file.
         `cross_fit`: each source scored by a model that saw no source of its
         fold. Every figure has a 95 % bootstrap interval by conversation.

Thresholds are chosen on out-of-fold scores of the corpus train files, never on
the rows that are tested in `dev`. Run from the repository's root.

With --predictions FOLDER, what it says of the dev rows, and out of fold of the corpus
train rows (`cross_*`), is written as predictions files (docs/PREDICTIONS.md), so that
`mindrail bench compare` can set the embedded model beside it, pair by pair
(scripts/compare_baseline.py).
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from conversations import Row, best_f1_threshold, decisions, draws, load, ranking, ratios, summary
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

TENSES = ("ongoing", "past")
TYPES = ("SI_passive", "SI_active", "SH", "DV", "CA", "SHA", "RA")
ALERTS = [f"alert_{t}" for t in TENSES]
CRISES = ALERTS + [f"confirm_{k}_{t}" for k in TYPES for t in TENSES]
VIEWS = {"person": "user turns only", "all": "all turns up to the last user turn"}
CROSS_FIT = {
    "corpus": lambda r: r.source.startswith("train_"),
    "short": lambda r: r.source.startswith("short_"),
    "khp_scratch": lambda r: r.source == "generated_scratch",
    "khp_pair": lambda r: r.source in ("generated_pair", "generated_pair_hard"),
    "khp_camel": lambda r: r.source in ("generated_camel", "generated_camel_hard"),
}
# Parts of the corpus: how the names of their files begin. Each has figures of
# its own; thresholds are chosen on both together.
PARTS = {"": "train_", "_short": "short_"}
DEV_PARTS = {"": "dev_", "_short": "short_dev_"}
Figures = dict[str, np.ndarray]


def words() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)


def words_and_letters():
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True)
    return make_union(words(), letters)


def fit_predict(x: csr_matrix, y: np.ndarray, weight: np.ndarray, c: float, test: csr_matrix) -> np.ndarray:
    if y.min() == y.max():
        return np.full(test.shape[0], float(y[0]))
    return LogisticRegression(C=c, max_iter=400).fit(x, y, sample_weight=weight).predict_proba(test)[:, 1]


def report(figures: Figures) -> dict:
    return {name: summary(values) for name, values in figures.items()}


def by_language(rows: list[Row], measure, seed: int, resamples: int) -> dict:
    """`measure(indices, draws)` for all rows and for each language."""
    groups = {"all": np.arange(len(rows))}
    for language in ("en", "fr", "mix"):
        groups[language] = np.array([i for i, r in enumerate(rows) if r.language == language], int)
    return {
        name: {"conversations": len(own)} | report(measure(own, draws(len(own), resamples, seed)))
        for name, own in groups.items()
        if len(own)
    }


class Risk:
    """High risk and the nine signals of whole conversations, in one view."""

    def __init__(self, view: str) -> None:
        self.view = view

    def scores(self, train: list[Row], test: list[Row], signals: Iterable[str] = ()) -> dict[str, np.ndarray]:
        vectorizer = words()
        x = vectorizer.fit_transform(r.text(self.view) for r in train)
        z = vectorizer.transform(r.text(self.view) for r in test)
        weight = np.array([r.weight for r in train])
        scores = {"risk": fit_predict(x, np.array([r.high_risk for r in train]), weight, 16, z)}
        known = [i for i, r in enumerate(train) if r.signals]
        for name in signals:
            y = np.array([train[i].signals[name] for i in known])
            scores[name] = fit_predict(x[known], y, weight[known], 16, z)
        return scores

    def out_of_fold(self, rows: list[Row]) -> np.ndarray:
        found = np.zeros(len(rows))
        folds = np.array([r.fold for r in rows])
        for fold in np.unique(folds):
            rest, held = ([r for r in rows if (r.fold == fold) == out] for out in (False, True))
            found[folds == fold] = self.scores(rest, held)["risk"]
        return found


def risk_measure(rows: list[Row], scores: dict[str, np.ndarray], threshold: float):
    def measure(own: np.ndarray, counts: np.ndarray) -> Figures:
        labels = np.array([rows[i].high_risk for i in own])
        called = scores["risk"][own] >= threshold
        if labels.min() == labels.max():
            name = "recall_at_threshold" if labels[0] else "false_positive_rate_at_threshold"
            return {name: counts @ called / len(own)}
        figures = ranking(scores["risk"][own], labels, counts)
        figures |= {f"{k}_at_threshold": v for k, v in decisions(called, labels, counts).items()}
        for name in (n for n in scores if n != "risk"):
            gold = np.array([rows[i].signals[name] for i in own])
            figures[f"auc_{name}"] = ranking(scores[name][own], gold, counts)["auc"]
        return figures

    return measure


def is_corpus(row: Row) -> bool:
    return row.source.startswith(tuple(PARTS.values()))


def places(rows: list[Row], beginning: str) -> np.ndarray:
    """Indices of the rows of the files whose names begin so."""
    return np.array([i for i, r in enumerate(rows) if r.source.startswith(beginning)], int)


def write_predictions(options, name: str, rows: list[Row], answers: Iterable[dict]) -> None:
    """One line for each row, in the shape that `mindrail bench` reads."""
    if options.predictions:
        options.predictions.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"id": f"{row.source}:{row.id}"} | answer) + "\n" for row, answer in zip(rows, answers)]
        (options.predictions / f"{name}.jsonl").write_text("".join(lines))


def risk_section(view: str, train: list[Row], dev: list[Row], options) -> dict[str, dict]:
    model = Risk(view)
    held = model.out_of_fold(train)
    corpus = [i for i, r in enumerate(train) if is_corpus(r)]
    threshold = best_f1_threshold(held[corpus], np.array([train[i].high_risk for i in corpus]))
    scores = model.scores(train, dev, signals=list(dev[0].signals))
    answers = lambda found: ({"risk": float(s), "high_risk": bool(s >= threshold)} for s in found)
    write_predictions(options, f"distress_{view}", dev, answers(scores["risk"]))
    write_predictions(options, f"cross_distress_{view}", [train[i] for i in corpus], answers(held[corpus]))
    sections = {}
    for part, beginning in DEV_PARTS.items():
        own = places(dev, beginning)
        rows = [dev[i] for i in own]
        measure = risk_measure(rows, {name: found[own] for name, found in scores.items()}, threshold)
        figures = by_language(rows, measure, options.seed, options.resamples)
        sections["dev" + part] = {"threshold": round(threshold, 4)} | figures
    cross = {}
    for name, belongs in CROSS_FIT.items():
        own = [i for i, r in enumerate(train) if belongs(r)]
        rows = [train[i] for i in own]
        measure = risk_measure(rows, {"risk": held[own]}, threshold)
        cross[name] = by_language(rows, measure, options.seed, options.resamples)
    return sections | {"cross_fit": cross}


def crisis_scores(train: list[Row], test: list[Row]) -> list[np.ndarray]:
    """For each tested conversation: user turns x 16 probabilities."""
    turns = [t for r in train for t in r.turns if t.role == "user"]
    tested = [[t for t in r.turns if t.role == "user"] for r in test]
    vectorizer = words_and_letters()
    x = vectorizer.fit_transform([t.text for t in turns]).tocsr()
    z = vectorizer.transform([t.text for r in tested for t in r]).tocsr()
    columns = []
    for label in CRISES:
        y = np.array([label in t.crisis for t in turns], int)
        columns.append(fit_predict(x, y, np.where(y == 1, 10.0, 1.0), 8, z))
    return np.split(np.stack(columns, 1), np.cumsum([len(r) for r in tested])[:-1])


def first_crossings(scores: np.ndarray, thresholds: np.ndarray) -> set[tuple[int, int]]:
    over = scores >= thresholds
    return {(int(over[:, k].argmax()), k) for k in range(len(CRISES)) if over[:, k].any()}


def onsets(row: Row) -> set[tuple[int, int]]:
    users = [t for t in row.turns if t.role == "user"]
    return {(i, CRISES.index(label)) for i, t in enumerate(users) for label in t.crisis}


def matched(gold: set, called: set, tolerance: int) -> int:
    """Size of the largest one-to-one matching, label by label (greedy in time)."""
    found = 0
    for label in {k for _, k in gold}:
        g, p = (sorted(t for t, k in s if k == label) for s in (gold, called))
        while g and p:
            if abs(g[0] - p[0]) <= tolerance:
                found, g, p = found + 1, g[1:], p[1:]
            elif g[0] < p[0]:
                g = g[1:]
            else:
                p = p[1:]
    return found


def onset_counts(gold: list[set], called: list[set], tolerance: int) -> np.ndarray:
    """Conversations x (right, called, gold)."""
    return np.array([[matched(g, c, tolerance), len(c), len(g)] for g, c in zip(gold, called)], float)


GRID = np.round(1 / (1 + np.exp(-np.arange(-6, 4.01, 0.1))), 4)


def micro_f1_by_thresholds(gold: list[set], scores: list[np.ndarray]) -> np.ndarray:
    """Exact micro F1 for each alert threshold (rows) and confirm threshold (columns)."""
    alert = np.arange(len(CRISES)) < len(ALERTS)
    totals = []
    for kind in (alert, ~alert):
        golds = [{o for o in g if kind[o[1]]} for g in gold]
        sets = lambda t: [first_crossings(s, np.where(kind, t, np.inf)) for s in scores]
        totals.append(np.array([onset_counts(golds, sets(t), 0).sum(0) for t in GRID]))
    both = totals[0][:, None] + totals[1][None]
    return 2 * both[..., 0] / (both[..., 1] + both[..., 2])


def crisis_section(train: list[Row], dev: list[Row], options) -> dict[str, dict]:
    held: list = [None] * len(train)
    for fold in sorted({r.fold for r in train}):
        own = [i for i, r in enumerate(train) if r.fold == fold]
        scores = crisis_scores([r for r in train if r.fold != fold], [train[i] for i in own])
        for i, s in zip(own, scores):
            held[i] = s
    f1 = micro_f1_by_thresholds([onsets(r) for r in train], held)
    alert, confirm = (float(GRID[i]) for i in np.unravel_index(f1.argmax(), f1.shape))
    thresholds = np.array([alert] * len(ALERTS) + [confirm] * (len(CRISES) - len(ALERTS)))

    def figures(rows: list[Row], scores: list[np.ndarray]) -> dict:
        gold, called = [onsets(r) for r in rows], [first_crossings(s, thresholds) for s in scores]
        counts = {n: onset_counts(gold, called, t) for n, t in (("exact", 0), ("within_1", 1))}

        def measure(own: np.ndarray, drawn: np.ndarray) -> Figures:
            found = {}
            for name, c in counts.items():
                tp, p, g = (drawn @ c[own]).T
                found |= {f"{k}_{name}": v for k, v in ratios(tp, p - tp, g - tp).items()}
            return found

        return by_language(rows, measure, options.seed, options.resamples)

    def turns(s: np.ndarray) -> dict:
        called = first_crossings(s, thresholds)
        return {"turns": [[CRISES[k] for k in range(len(CRISES)) if (turn, k) in called] for turn in range(len(s))]}

    tested = crisis_scores(train, dev)
    write_predictions(options, "crisis", dev, map(turns, tested))
    write_predictions(options, "cross_crisis", train, map(turns, held))
    # Thresholds are chosen on few onsets: how far the figure moves among those
    # that do as well on the train files.
    near = micro_f1_by_thresholds([onsets(r) for r in dev], tested)[f1 >= f1.max() - 0.005]
    spread = [round(float(x), 4) for x in (near.min(), near.max())]
    chosen = {
        "thresholds": {"alert": alert, "confirm": confirm},
        "f1_exact_at_thresholds_within_0.005_of_the_best_in_train": spread,
    }
    sections = {}
    for name, beginnings, rows, scores in (("dev", DEV_PARTS, dev, tested), ("cross_fit", PARTS, train, held)):
        for part, beginning in beginnings.items():
            own = places(rows, beginning)
            sections[name + part] = figures([rows[i] for i in own], [scores[i] for i in own])
    sections["dev"] = chosen | sections["dev"]
    return sections


def reply_predictions(train: list[Row], test: list[Row], balance: str | None) -> list[list[str]]:
    """The class of each reply of each tested conversation."""
    vectorizer = words_and_letters()
    x = vectorizer.fit_transform([text for r in train for text, _ in r.replies]).tocsr()
    model = LogisticRegression(C=8, max_iter=400, class_weight=balance)
    model.fit(x, [c for r in train for _, c in r.replies])
    z = vectorizer.transform([text for r in test for text, _ in r.replies]).tocsr()
    found = iter(model.predict(z))
    return [[str(next(found)) for _ in r.replies] for r in test]


def reply_measure(rows: list[Row], predicted: list[list[str]]):
    classes = sorted({c for r in rows for _, c in r.replies} | {c for p in predicted for c in p})
    tables = np.zeros((len(rows), len(classes), len(classes)))
    for i, (row, found) in enumerate(zip(rows, predicted)):
        for (_, gold), called in zip(row.replies, found):
            tables[i, classes.index(gold), classes.index(called)] += 1

    def measure(own: np.ndarray, counts: np.ndarray) -> Figures:
        table = np.einsum("rn,nij->rij", counts, tables[own])
        tp, gold, called = np.einsum("rii->ri", table), table.sum(2), table.sum(1)
        f1 = ratios(tp, called - tp, gold - tp)["f1"]
        present = (gold + called > 0).sum(1)
        figures = {"macro_f1": f1.sum(1) / present, "weighted_f1": (f1 * gold).sum(1) / gold.sum(1)}
        return figures | {f"f1_{name}": np.where(gold[:, k] > 0, f1[:, k], np.nan) for k, name in enumerate(classes)}

    return measure


def reply_section(train: list[Row], dev: list[Row], options) -> dict[str, dict]:
    held, found = {}, {}
    for balance in (None, "balanced"):
        predicted: list = [None] * len(train)
        for fold in sorted({r.fold for r in train}):
            own = [i for i, r in enumerate(train) if r.fold == fold]
            rest = [r for r in train if r.fold != fold]
            for i, p in zip(own, reply_predictions(rest, [train[i] for i in own], balance)):
                predicted[i] = p
        found[balance] = predicted
        held[balance] = by_language(train, reply_measure(train, predicted), options.seed, options.resamples)
    best = max(held, key=lambda b: held[b]["all"]["macro_f1"]["value"])
    tested = reply_predictions(train, dev, best)
    sections = {}
    for name, beginnings, rows, predicted in (
        ("dev", DEV_PARTS, dev, tested),
        ("cross_fit", PARTS, train, found[best]),
    ):
        for part, beginning in beginnings.items():
            own = places(rows, beginning)
            chosen = [rows[i] for i in own]
            measure = reply_measure(chosen, [predicted[i] for i in own])
            sections[name + part] = by_language(chosen, measure, options.seed, options.resamples)
    sections["dev"] = {"class_weight": best or "none"} | sections["dev"]
    return sections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/embedded.toml"))
    parser.add_argument("--output", type=Path, default=Path("docs/baseline_tfidf.json"))
    parser.add_argument("--predictions", type=Path, help="folder for predictions files of the dev rows")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    train, dev = load(options.config, "train"), load(options.config, "dev")
    corpus = [r for r in train if is_corpus(r)]
    result = {
        "model": "TF-IDF + logistic regression (scikit-learn)",
        "rows": {"train": len(train), "corpus_train": len(corpus), "dev": len(dev)},
        "thresholds": "chosen on out-of-fold scores of the corpus train files for the largest F1; "
        "so the figures at a threshold in cross_fit.risk.*.corpus and cross_fit.crisis flatter the baseline",
        "intervals": f"95 %, bootstrap by conversation, {options.resamples} resamples, seed {options.seed}",
        "labels": "synthetic conversations; the corpus labels are one author's judgement, not reviewed by clinicians",
        "views": VIEWS,
    }

    def store(task: str, sections: dict[str, dict], view: str | None = None) -> None:
        for part, figures in sections.items():
            place = result.setdefault(part, {})
            if view:
                place.setdefault(task, {})[view] = figures
            else:
                place[task] = figures
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        print(f"{task} {view or ''} written to {options.output}", flush=True)

    for view in VIEWS:
        store("risk", risk_section(view, train, dev, options), view)
    store("crisis", crisis_section(corpus, dev, options))
    store("reply", reply_section(corpus, dev, options))


if __name__ == "__main__":
    main()
