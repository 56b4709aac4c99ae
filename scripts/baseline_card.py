"""Puts the baseline's figures into the shape of the model card's tables.

Input:   docs/baseline_tfidf.json (scripts/baseline_tfidf.py)
Command: python3 scripts/baseline_card.py
Output:  docs/baseline_card.json: {set: {language: {figure: {value, low, high}}}},
         which configs/embedded.toml names as `baseline`.
"""

import json
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
RISK = {
    "auc": "high_risk_auc",
    "ap": "high_risk_ap",
    "recall_at_fpr_0.05": "high_risk_recall_at_fpr_05",
    "recall_at_fpr_0.1": "high_risk_recall_at_fpr_10",
    "f1_at_threshold": "high_risk_f1",
    "precision_at_threshold": "high_risk_precision",
    "recall_at_threshold": "high_risk_recall",
}
CRISIS = {
    "f1_exact": "crisis_micro_f1",
    "precision_exact": "crisis_micro_precision",
    "recall_exact": "crisis_micro_recall",
    "f1_within_1": "crisis_micro_f1_within_1",
}
REPLY = {"macro_f1": "reply_macro_f1", "weighted_f1": "reply_weighted_f1"}


def figures(section: dict, names: dict) -> dict:
    """Each language's figures under the card's names; signals lose `auc_`."""
    out: dict = {}
    for language, values in section.items():
        if not isinstance(values, dict) or "conversations" not in values:
            continue
        row = out.setdefault(language, {})
        for key, found in values.items():
            name = names.get(key) or (key.removeprefix("auc_") if key.startswith("auc_") else None)
            if name and isinstance(found, dict) and found.get("value") is not None:
                low, high = found.get("interval") or (None, None)
                row[name] = {"value": found["value"], "low": low, "high": high}
    return out


def merged(*parts: dict) -> dict:
    """One table per language from several sections."""
    out: dict = {}
    for part in parts:
        for language, row in part.items():
            out.setdefault(language, {}).update(row)
    return out


def main() -> None:
    """Reads, maps, writes."""
    found = json.loads((DOCS / "baseline_tfidf.json").read_text())
    dev, short, fit = found["dev"], found["dev_short"], found["cross_fit"]
    rest = lambda part: (figures(part["crisis"], CRISIS), figures(part["reply"], REPLY))
    card = {
        "dev": merged(figures(dev["risk"]["all"], RISK), *rest(dev)),
        "dev_person_only": merged(figures(dev["risk"]["person"], RISK), *rest(dev)),
        "dev_short": merged(figures(short["risk"]["all"], RISK), *rest(short)),
        "corpus_cross_fitted": merged(figures(fit["risk"]["all"]["corpus"], RISK), *rest(fit)),
        "corpus_cross_fitted_person_only": merged(figures(fit["risk"]["person"]["corpus"], RISK), *rest(fit)),
    }
    card["short_cross_fitted"] = merged(
        figures(fit["risk"]["all"]["short"], RISK), *rest(found["cross_fit_short"])
    )
    for view, suffix in (("all", ""), ("person", "_person_only")):
        for source in ("scratch", "pair", "camel"):
            card[f"khp_{source}_left_out{suffix}"] = figures(fit["risk"][view][f"khp_{source}"], RISK)
    (DOCS / "baseline_card.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
