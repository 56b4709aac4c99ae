"""What the shipped model and the default policy do with labelled conversations.

Inputs:  corpus files; the program (`cargo build --release`).
Command: python3 scripts/verdicts.py corpus/dev_f.jsonl corpus/short_dev_p.jsonl
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


def main() -> None:
    """Counts, file by file."""
    for path in sys.argv[1:]:
        labels = [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line.strip()]
        people: Counter = Counter()
        replies: Counter = Counter()
        for label, line in zip(labels, scored(path), strict=True):
            people["high risk" if label["high_risk"] else "not high risk", line["verdict"]["action"]] += 1
            for gold, turn in zip(label["turns"], line["turns"], strict=True):
                if gold["role"] == "assistant" and "verdict" in turn:
                    safe = "safe reply" if gold["response"] == "Safe Response" else "unsafe reply"
                    replies[safe, turn["verdict"]["action"]] += 1
        print(path)
        for (kind, action), count in sorted((people + replies).items()):
            print(f"  {kind}: {action} {count}")


if __name__ == "__main__":
    main()
