"""How fast tables are read, in MB/s and peak memory, beside pyarrow and Python's json, in one run.

Writes made-up rows in the shape of PKU-SafeRLHF (no real text) as JSONL and Parquet to a
temporary folder, then reads each with `mindrail data stats` (which types every row and
counts it), converts it with `mindrail data convert`, and reads it with Python. Each program runs in a process of its own, so that the peak
is its own. MB/s are bytes of the file; those of Parquet are compressed.

    python scripts/bench_tables.py target/release/mindrail --megabytes 200
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time

HARMS = """Endangering National Security|Insulting Behavior|Discriminatory Behavior|Endangering Public Health|Copyright
 Issues|Violence|Drugs|Privacy Violation|Economic Crime|Mental Manipulation|Human Trafficking|Physical Harm|Sexual
 Content|Cybercrime|Disrupting Public Order|Environmental Damage|Psychological Harm|White-Collar Crime|Animal
 Abuse""".replace("\n", "").split("|")
WORDS = "the garden gate was open and a letter lay on the table for whoever came home late from work that day".split()

READERS = {
    "python json": "import json,sys\nfor line in open(sys.argv[1]): json.loads(line)",
    "pyarrow json": "import pyarrow.json as p,sys\np.read_json(sys.argv[1])",
    "pyarrow parquet, columns": "import pyarrow.parquet as p,sys\nfor b in p.ParquetFile(sys.argv[1]).iter_batches(1024): b.num_rows",
    "pyarrow parquet, rows": "import pyarrow.parquet as p,sys\nfor b in p.ParquetFile(sys.argv[1]).iter_batches(1024): b.to_pylist()",
}


def row(rng):
    text = lambda n: " ".join(rng.choices(WORDS, k=n))
    prompt, replies = text(20), [text(80), text(120)]
    out = {"prompt": prompt, "response_0": replies[0], "response_1": replies[1], "prompt_source": "Beavertails"}
    safe = [rng.random() < 0.5 for _ in range(2)]
    harms = [{h: not s and h == "Economic Crime" for h in HARMS} for s in safe]
    out |= {f"response_{k}_source": "Alpaca-7B" for k in range(2)}
    out |= {f"is_response_{k}_safe": safe[k] for k in range(2)}
    out |= {f"response_{k}_harm_category": harms[k] for k in range(2)}
    out |= {f"response_{k}_severity_level": 0 if safe[k] else 2 for k in range(2)}
    out |= {"better_response_id": 0, "safer_response_id": 0 if safe[0] else 1}
    out |= {f"response_{k}_sha256": hashlib.sha256((prompt + replies[k]).encode()).hexdigest() for k in range(2)}
    return out


def measure(command):
    """Seconds and peak memory in MiB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stderr = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed: {stderr.decode()[:400]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def report(name, path, command):
    size = os.path.getsize(path) / 1e6
    seconds, peak = measure(command)
    print(f"{name:44} {size:7.0f} MB {seconds:7.2f} s {size / seconds:7.0f} MB/s  peak {peak:6.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mindrail")
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    try:
        import pyarrow  # noqa: F401

        has_pyarrow = True
    except ImportError:
        has_pyarrow = False
        print("pyarrow is not installed: its lines are left out")
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        jsonl, parquet = f"{folder}/rows.jsonl", f"{folder}/rows.parquet"
        with open(jsonl, "w") as out:
            while out.tell() < arguments.megabytes * 1_000_000:
                out.write("".join(json.dumps(row(rng)) + "\n" for _ in range(1000)))
        report("mindrail convert jsonl to parquet", jsonl, [arguments.mindrail, "data", "convert", jsonl, parquet])
        report("mindrail stats jsonl", jsonl, [arguments.mindrail, "data", "stats", jsonl])
        report("mindrail stats parquet", parquet, [arguments.mindrail, "data", "stats", parquet])
        report("mindrail convert parquet to jsonl", parquet, [arguments.mindrail, "data", "convert", parquet, f"{folder}/b.jsonl"])
        for name, code in READERS.items():
            if has_pyarrow or "pyarrow" not in name:
                path = parquet if "parquet" in name else jsonl
                report(name, path, [sys.executable, "-c", code, path])


if __name__ == "__main__":
    main()
