"""What the baseline scripts share: the training sources and the figures.

Not a command. Reads the sources of `configs/embedded.toml` the way
`mindrail train embedded` does: speaker names and setting (bold, rules, blank
lines) are removed as in `crates/core/src/reader/{transcript,plain}.rs`, and a
conversation ends with its last user turn. The figures are defined as in
`crates/core/src/metrics`. Conversation text is never printed.
"""

import csv
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

USERS = "user person seeker human client youth texter caller usr patient speaker"
ASSISTANTS = "assistant support supporter listener counselor counsellor therapist ai bot sys volunteer"
ROLES = {n: "user" for n in USERS.split()} | {n: "assistant" for n in ASSISTANTS.split()}
# KHP and ESConv set a speaker's name in one style per row: plain or bold.
MARK = re.compile(r"^[^\S\n]*(\*\*)?\s*([A-Za-z]+)\s*(\*\*)?\s*[:：](\s*\*\*)?", re.M)


@dataclass
class Turn:
    role: str
    text: str
    crisis: list[str] = field(default_factory=list)


@dataclass
class Row:
    """A conversation up to its last user turn, with whatever labels it has."""

    id: str
    source: str
    fold: int
    weight: float
    language: str
    high_risk: int
    turns: list[Turn]
    signals: dict[str, int] | None = None
    replies: list[tuple[str, str]] = field(default_factory=list)  # text, class

    def text(self, view: str) -> str:
        return "\n".join(t.text for t in self.turns if view == "all" or t.role == "user")


def marks(text: str) -> list[tuple[int, int, str, str, bool]]:
    """The speaker marks: start, end, name as spelled, role, bold.

    The first mark settles the style: plain or bold, one name for each role.
    `user:**` is bold in a transcript that is bold elsewhere; in a plain one
    the asterisks are the turn's own.
    """
    found, style, names = [], "unclear", {}
    for m in MARK.finditer(text):
        role, name = ROLES.get(m[2].lower()), m[2].lower()
        if role is None:
            continue
        own = "bold" if m[1] or m[3] else "unclear" if m[4] else "plain"
        style = own if style == "unclear" else style
        fits = own != "plain" if style == "bold" else own != "bold"
        if fits and names.setdefault(role, name) == name:
            bold = style == "bold"
            found.append((m.start(), m.end() if bold else m.end() - len(m[4] or ""), m[2], role, bold))
    return found


def transcript(text: str) -> list[Turn]:
    """The turns of a transcript; a text without marks is one user turn."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = marks(text)
    if not found:
        return [Turn("user", text.strip())] if text.strip() else []
    turns = [Turn("user", text[: found[0][0]].strip())] if text[: found[0][0]].strip() else []
    ends = [m[0] for m in found[1:]] + [len(text)]
    return turns + [Turn(m[3], text[m[1] : end].strip()) for m, end in zip(found, ends)]


def _emphasis(m: re.Match) -> str:
    before, after = m.string[m.start() - 1 : m.start()], m.string[m.end() : m.end() + 1]
    punctuation = r"!-/:-@\[-`{-~"
    in_word = before.isalnum() and after.isalnum()
    in_face = re.fullmatch(f"[{punctuation}]{{2}}", before + after) and set(m[0]) == {"_"}
    return m[0] if in_word or in_face else ""


def plain(text: str) -> str:
    """What a model may see of a turn; see `crates/core/src/reader/plain.rs`."""
    lines = (" ".join(re.sub(r"[*_]+", _emphasis, line).split()) for line in text.split("\n"))
    rule = re.compile(r"[-=—]( *[-=—]){2,}")
    return "\n".join(line for line in lines if line and not rule.fullmatch(line))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def to_last_user(turns: list[Turn]) -> list[Turn]:
    last = max(i for i, t in enumerate(turns) if t.role == "user")
    return [Turn(t.role, plain(t.text), t.crisis) for t in turns[: last + 1]]


def _corpus_row(line: str) -> dict:
    raw = json.loads(line)
    turns = [Turn(t["role"], t["text"], t.get("crisis", [])) for t in raw["turns"]]
    replies = [
        (plain(t["text"]), t["response"])
        for before, t in zip(raw["turns"], raw["turns"][1:])
        if before["role"] == "user" and t.get("response")
    ]
    replies += [(plain(r["text"]), r["response"]) for r in raw["replies"]]
    return dict(id=raw["id"], language=raw["language"], high_risk=raw["high_risk"],
                turns=to_last_user(turns), signals=raw["signals"], replies=replies)


def _csv_row(number: int, stem: str, raw: dict[str, str]) -> dict:
    signals = json.loads(raw["signals"] or "[]")
    return dict(id=f"{stem}:{number}", language=raw.get("language") or "en", high_risk=int(raw["label"]),
                turns=to_last_user(transcript(raw["text"])), signals=signals or None)


def load(config: Path, split: str) -> list[Row]:
    """All rows of the `train` or `dev` sources of a training configuration."""
    rows = []
    for source in tomllib.loads(config.read_text())[split]:
        path = Path(source["path"])
        if source["kind"] == "corpus":
            found = [_corpus_row(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
        else:
            found = [_csv_row(i, path.stem, raw) for i, raw in enumerate(read_csv(path), 1)]
        rows += [Row(source=path.stem, fold=source["fold"], weight=source["wide_weight"], **f) for f in found]
    return rows


# Figures. `draws` holds how often each row counts: one line per resample, the
# first line all ones, so that the first number is the figure itself.


def draws(units: int, resamples: int, seed: int) -> np.ndarray:
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), resamples)
    return np.vstack([np.ones(units), counts])


def summary(values: np.ndarray) -> dict | None:
    """The figure and its 95 % percentile interval; resamples without it are left out."""
    if not np.isfinite(values[0]):
        return None
    rest = values[1:][np.isfinite(values[1:])]
    enough = 2 * len(rest) >= len(values) - 1
    return {"value": round(float(values[0]), 4),
            "interval": [round(float(x), 4) for x in np.percentile(rest, [2.5, 97.5])] if enough else None}


def ranking(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """AUC, average precision and recall at 5 and 10 % false positives."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # the last row of each group of tied scores
    c, y = counts[:, order], labels[order] == 1
    found, wrong = np.cumsum(c * y, 1)[:, last], np.cumsum(c * ~y, 1)[:, last]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, fpr = found / found[:, -1:], wrong / wrong[:, -1:]
        gain = np.diff(recall, axis=1, prepend=0)
        auc = np.sum(np.diff(fpr, axis=1, prepend=0) * (recall - gain / 2), 1)
        precision = found / (found + wrong)
    ap = np.sum(gain * np.nan_to_num(precision), 1) + 0 * recall[:, -1]
    both = np.where(np.isfinite(auc), 0.0, np.nan)
    at = {f"recall_at_fpr_{m}": np.max(np.where(fpr <= m, recall, 0), 1) + both for m in (0.05, 0.1)}
    return {"auc": auc, "ap": ap} | at


def ratios(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1; an empty denominator gives 0."""
    share = lambda a, b: np.divide(a, b, out=np.zeros_like(a, dtype=float), where=b > 0)
    return {"precision": share(tp, tp + fp), "recall": share(tp, tp + fn), "f1": share(2 * tp, 2 * tp + fp + fn)}


def decisions(called: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    y = labels == 1
    return ratios(counts @ (called & y), counts @ (called & ~y), counts @ (~called & y))


def best_f1_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """The score from which on calling gives the largest F1."""
    order = np.argsort(-scores, kind="stable")
    s, found = scores[order], np.cumsum(labels[order])
    f1 = 2 * found / (np.arange(1, len(s) + 1) + found[-1])
    f1[np.append(np.diff(s) == 0, False)] = -1  # tied scores are called together
    return float(s[np.argmax(f1)])
