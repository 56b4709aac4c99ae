"""Holds what ships for operators together, with the standard library only.

Purpose: the documents show the examples as they are; the chart's alerts are those of
         deploy/; the commented configuration names every setting; the alerts ask for
         figures that there are; the receivers know the signature that webhook.rs makes;
         what the sources include reaches the image's build.
Command: python3 scripts/check_deploy.py            exit code 1 where something differs
         python3 scripts/check_deploy.py --write    puts files into documents and chart
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = re.compile(r"<!-- file: (?P<path>\S+) -->\n(?:\n```[^\n]*\n.*?\n```\n(?:\n)?)?", re.DOTALL)
LANGUAGES = {".sh": "sh", ".py": "python", ".ts": "ts", ".sql": "sql", ".toml": "toml"}


def read(path):
    return (ROOT / path).read_text(encoding="utf8")


def with_files(text):
    """A document with each named file after its mark."""

    def block(found):
        path = found["path"]
        language = LANGUAGES.get(Path(path).suffix, "text")
        return f"<!-- file: {path} -->\n\n```{language}\n{read(path).rstrip()}\n```\n\n"

    return SHOWN.sub(block, text)


def documents(write):
    for document in sorted((ROOT / "docs").glob("*.md")):
        text = document.read_text(encoding="utf8")
        new = with_files(text)
        if new != text and write:
            document.write_text(new, encoding="utf8")
        elif new != text:
            yield f"docs/{document.name}: a file that it shows differs; run scripts/check_deploy.py --write"


def chart(write):
    alerts = ROOT / "deploy/helm/mindrail/alerts.yml"
    if alerts.read_text(encoding="utf8") == read("deploy/alerts.yml"):
        return
    if write:
        alerts.write_text(read("deploy/alerts.yml"), encoding="utf8")
    else:
        yield "deploy/helm/mindrail/alerts.yml differs from deploy/alerts.yml"


def settings():
    """The fields of every structure of the configuration that is read from a file."""
    source = read("crates/server/src/config.rs").split("#[cfg(test)]")[0]
    structs = re.findall(r"Deserialize\)\]\n(?:#\[[^\n]*\n)*pub struct \w+ \{(.*?)\n\}", source, re.DOTALL)
    return [name for body in structs for name in re.findall(r"^ {4}pub (\w+):", body, re.MULTILINE)]


def configuration():
    text = read("deploy/mindrail.toml")
    names = settings()
    if not names:
        yield "crates/server/src/config.rs: found no settings"
    for name in names:
        if not re.search(rf"^(# )?({name} = |\[+([\w.]+\.)?{name}(\.\w+)?\]+$)", text, re.MULTILINE):
            yield f"deploy/mindrail.toml: the setting {name} is missing"


def figures():
    there = "".join(path.read_text(encoding="utf8") for path in (ROOT / "crates/server/src").rglob("*.rs"))
    for name in sorted(set(re.findall(r"\bmindrail_\w+", read("deploy/alerts.yml")))):
        if name not in there and name.removesuffix("_bucket") not in there:
            yield f"deploy/alerts.yml: no figure {name} in crates/server"


def signature():
    known = re.search(r'expected = "([0-9a-f]{64})"', read("crates/server/src/webhook.rs"))
    for receiver in ("examples/integrate/receiver.py", "examples/integrate/receiver.ts"):
        if not known or known[1] not in read(receiver):
            yield f"{receiver}: its known signature is not the one of webhook.rs"


def build_context():
    lines = read("deploy/Dockerfile.dockerignore").splitlines()
    kept = [ROOT / line[1:] for line in lines if line.startswith("!")]
    for source in [*(ROOT / "src").rglob("*.rs"), *(ROOT / "crates").rglob("*.rs")]:
        text = source.read_text(encoding="utf8")
        for path in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', text):
            included = (source.parent / path).resolve()
            if not any(included == place or place in included.parents for place in kept):
                yield f"deploy/Dockerfile.dockerignore: lacks {path} of {source.relative_to(ROOT)}"


def main():
    write = "--write" in sys.argv[1:]
    checks = (documents(write), chart(write), configuration(), figures(), signature(), build_context())
    problems = [problem for check in checks for problem in check]
    for problem in problems:
        print(problem)
    print(f"deployment and its documents: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
