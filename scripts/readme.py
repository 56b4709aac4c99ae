"""Puts what the program really says into README.md.

Purpose: no output or figure in README.md is typed by hand.
Inputs:  the release build; the model card; beavertails_30k_test.jsonl in --shared
         (without it, that block stays as it is, and this is said).
Command: python3 scripts/readme.py
Output:  README.md, between `<!-- demo -->`, `<!-- figures -->`, `<!-- benchmarks -->`
         and their ends. Each command there is run as it stands.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/mindrail"
CARD = ROOT / "crates/model/bundle/MODEL_CARD.md"
FENCES = re.compile(r"```sh\n(?P<command>[^\n]+)\n```\n\n```text\n(?P<output>.*?)```", re.S)
CHOSE = "(it chose the checkpoint)"
LEFT = "the same, listener's turns left out"
SETS = {
    "dev": f"dev: {{n}} conversations, an author of its own {CHOSE}",
    "dev_person_only": LEFT,
    "dev_short": f"dev, short: {{n}} conversations, half single messages, an author of its own {CHOSE}",
    "corpus_cross_fitted": "{n} long conversations, each author left out in turn",
    "corpus_cross_fitted_person_only": LEFT,
    "short_cross_fitted": "{n} short conversations, each author left out in turn",
    "khp_scratch_left_out": "KHP `scratch`, generator left out",
    "khp_scratch_left_out_person_only": LEFT,
    "khp_pair_left_out": "KHP `pair`, generator left out",
    "khp_pair_left_out_person_only": LEFT,
}
FIGURES = {
    "high_risk_auc": "high-risk AUC",
    "high_risk_f1": "high-risk F1, shipped threshold",
    "crisis_micro_f1": "crisis onsets, exact turn, micro F1",
    "reply_macro_f1": "reply classes, macro F1",
}


def figures() -> str:
    """The README's table, from the card's."""
    lines = ["| data, never trained on | figure | model | TF-IDF + LR, same training rows |", "|---|---|---|---|"]
    for section in re.split(r"^## ", CARD.read_text(), flags=re.M)[1:]:
        title, whole = section.split("\n", 1)
        table = re.search(r"### all: (\d+) conversations.*?\n\n(.*?)(?=\n###|\Z)", whole, re.S)
        if title not in SETS or not table:
            continue
        rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", table[2], re.M))
        for name, words in FIGURES.items():
            # Replies are judged with all turns before them, in one view only.
            if name not in rows or (name.startswith("reply") and title.endswith("person_only")):
                continue
            model, interval, theirs, their_interval = (cell.strip() for cell in rows[name].split("|"))
            data = SETS[title].format(n=table[1])
            lines.append(f"| {data} | {words} | {model} ({interval}) | {theirs} ({their_interval}) |")
    return "\n".join(lines)


def output_of(command: str, shared: Path) -> str | None:
    """What a command of the README prints; of a benchmark, up to its headline."""
    words = command.split()
    arguments = words[words.index("--") + 1 :] if words[0] == "cargo" else words[1:]
    for i, word in enumerate(arguments):
        if word.endswith(".jsonl") and not (ROOT / word).exists():
            arguments[i] = str(shared / "data/harm" / word)
            if not Path(arguments[i]).exists():
                return None
    with tempfile.TemporaryDirectory() as folder:
        if "--output" in arguments:
            arguments[arguments.index("--output") + 1] = folder + "/run"
        ran = subprocess.run([PROGRAM, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    if arguments[0] != "bench":
        return ran.stdout
    head, rest = ran.stdout.split("Headline\n", 1)
    return f"{head}Headline\n{rest.split(chr(10) * 2, 1)[0].rstrip()}\n"


def run_again(block: str, shared: Path) -> str:
    def fence(found: re.Match) -> str:
        output = output_of(found["command"], shared)
        if output is None:
            print(f"left as it is, its data is not here: {found['command']}")
            return found[0]
        return f"```sh\n{found['command']}\n```\n\n```text\n{output}```"

    return FENCES.sub(fence, block)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    shared = parser.parse_args().shared
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name in ("demo", "figures", "benchmarks"):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(start, 1)
        block, after = rest.split(end, 1)
        block = f"\n{figures()}\n\n" if name == "figures" else run_again(block, shared)
        text = f"{before}{start}{block}{end}{after}"
    readme.write_text(text)


if __name__ == "__main__":
    main()
