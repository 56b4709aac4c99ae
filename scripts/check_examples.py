"""Checks what ships beside the code, with the standard library only: the
examples are OpenAI messages of known roles with distinct ids, and the labels in
the score schema are those of the taxonomies in `crates/core`."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def example_problems(path):
    seen = set()
    for number, line in enumerate(path.read_text(encoding="utf8").splitlines(), 1):
        row = json.loads(line)
        if set(row) != {"id", "messages"} or row["id"] in seen:
            yield f"{path.name}:{number}: expected a new id and messages"
        seen.add(row["id"])
        for place, message in enumerate(row["messages"]):
            if set(message) != {"role", "content"} or message["role"] not in ("user", "assistant", "system"):
                yield f"{path.name}:{number}: messages[{place}]: expected a known role and content"


def wire_names(taxonomy):
    source = (ROOT / "crates/core/src/taxonomy" / f"{taxonomy}.rs").read_text(encoding="utf8")
    return re.findall(r'^\s*wire: "([^"]+)"', source, re.MULTILINE)


def schema_problems(path):
    definitions = json.loads(path.read_text(encoding="utf8"))["$defs"]
    expected = {
        "signal": wire_names("signal"),
        "crisis_label": wire_names("crisis"),
        "reply_class": wire_names("reply"),
    }
    for name, labels in expected.items():
        if definitions[name]["enum"] != labels:
            yield f"{path.name}: {name} differs from the taxonomy in crates/core"
    if definitions["harm"]["enum"] + definitions["severity"]["enum"] != wire_names("harm"):
        yield f"{path.name}: harm or severity differs from the taxonomy in crates/core"
    for scores, labels in (("signals", "signal"), ("crisis", "crisis_label"), ("replies", "reply_class"), ("harms", "harm")):
        if definitions[scores]["required"] != definitions[labels]["enum"]:
            yield f"{path.name}: {scores} does not require every label"


def main():
    problems = [p for path in sorted((ROOT / "examples").glob("*.jsonl")) for p in example_problems(path)]
    problems += schema_problems(ROOT / "schemas/score.schema.json")
    for problem in problems:
        print(problem)
    print(f"examples and schema: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
