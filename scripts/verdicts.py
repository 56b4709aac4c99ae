"""What the shipped model and the default policy do with labelled conversations.

Inputs:  corpus files, or files of `tests/data` that say what is expected; the program
         (`cargo build --release`).
Command: python3 scripts/verdicts.py corpus/dev_f.jsonl corpus/short_dev_p.jsonl \
             tests/data/bare_answers.jsonl
Output:  for each file, how many high-risk conversations and how many others got
         which verdict, and the same for the listener's turns, safe and not.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "target/release/mindrail"


def scored(path: str) -> list[dict]:
    """The lines of `mindrail score`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.jsonl"
        subprocess.run([PROGRAM, "score", "--input", path, "--output", out], check=True)
        return [json.loads(line) for line in out.read_text("utf-8").split("\n") if line]


def kind(label: dict) -> str:
    """What a labelled conversation is."""
    return label.get("expected") or ("high risk" if label["high_risk"] else "not high risk")


def main() -> None:
    """Counts, file by file."""
    for path in sys.argv[1:]:
        labels = [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line.strip()]
        people: Counter = Counter()
        replies: Counter = Counter()
        for label, line in zip(labels, scored(path), strict=True):
            people[kind(label), line["verdict"]["action"]] += 1
            for gold, turn in zip(label.get("turns", line["turns"]), line["turns"], strict=True):
                if "response" in gold and gold["role"] == "assistant" and "verdict" in turn:
                    safe = "safe reply" if gold["response"] == "Safe Response" else "unsafe reply"
                    replies[safe, turn["verdict"]["action"]] += 1
        print(path)
        for (of, action), count in sorted((people + replies).items()):
            print(f"  {of}: {action} {count}")


if __name__ == "__main__":
    main()
