"""How fast files of rows are read, beside Python's json and pyarrow, in one run.

Purpose: the speed and memory of `mindrail data stats` on JSON lines and Parquet.
Inputs:  none; both files are made from a seed, each of `--megabytes` on disk: rows
         of the corpus's layout, their texts random words.
Command: python scripts/bench_reading.py --output docs/bench_reading.json
Output:  JSON {"machine", "settings", "files": [{"format", "bytes", "rows"}],
         "reading": [{"format", "program", "threads", "seconds", "mb_per_s",
         "rows_per_s", "peak_mb", "runs"}]}, and a Markdown table on stdout.

Every run is a process of its own; its peak memory is the system's count, libraries
included. Ours is timed from start to end, with starting, interpreting, checking
and counting every row; a peer times its own reading, without start and imports,
and counts rows only. Python's json and "pyarrow, rows" make objects of Python of
every row, as ours makes typed rows; "pyarrow, columns" decodes columns and makes
no rows at all, the least that reading Parquet can cost. Files are read once before,
so that the disk counts for nobody. Run nothing else on the machine meanwhile.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

MEGABYTE = 1_000_000
BATCH = 10_000  # rows of a row group
SIGNALS = [
    "burden_language", "finality_language", "escape_framing", "hopelessness", "active_self_harm",
    "immediate_safety", "self_image_crisis", "third_party_concern", "testing",
]  # fmt: skip
PEERS = {"jsonl": ["json"], "parquet": ["pyarrow, columns", "pyarrow, rows"]}


# What is measured runs in processes of its own, and this one imports no library: a
# child's peak counts what its parent held when it was started.


def peer_json(path: str, _threads: int) -> int:
    with open(path, "rb") as file:
        return sum(1 for line in file if json.loads(line))


def batches(path: str, threads: int) -> Iterator:
    import pyarrow
    import pyarrow.parquet

    pyarrow.set_cpu_count(threads)
    return pyarrow.parquet.ParquetFile(path).iter_batches(1024, use_threads=threads > 1)


def peer_columns(path: str, threads: int) -> int:
    return sum(batch.num_rows for batch in batches(path, threads))


def peer_rows(path: str, threads: int) -> int:
    return sum(len(batch.to_pylist()) for batch in batches(path, threads))


READ = {"json": peer_json, "pyarrow, columns": peer_columns, "pyarrow, rows": peer_rows}


def be_peer(name: str, path: str, threads: int) -> None:
    if name.startswith("pyarrow"):
        import pyarrow.parquet  # noqa: F401  its import is not reading
    began = time.perf_counter()
    rows = READ[name](path, threads)
    print(json.dumps({"seconds": time.perf_counter() - began, "rows": rows}))


def words(draw: random.Random) -> str:
    """A long text of which slices are turns: 4 MB, so that compressing finds little twice.
    One word in ten has letters beyond ASCII."""
    plain, other = "eeeeetttaaaooiinnsshhrrdlucmfwygpbvk", "eaonéüßñçåшжя我心ت"
    word = lambda: "".join(draw.choices(other if draw.random() < 0.1 else plain, k=draw.randint(1, 9)))
    return " ".join(draw.choices([word() for _ in range(20_000)], k=700_000))


def turn(at: int, draw: random.Random, text: str) -> dict:
    start, length = draw.randrange(len(text) - 1_000), draw.randint(30, 400)
    role = {"role": "assistant", "response": "Safe Response"} if at % 2 else {"role": "user", "crisis": []}
    return role | {"text": text[start : start + length]}


def rows(seed: int) -> Iterator[dict]:
    draw = random.Random(seed)
    text = words(draw)
    number = 0
    while True:
        number += 1
        turns = [turn(at, draw, text) for at in range(draw.randint(2, 24))]
        high_risk = draw.random() < 0.3
        signals = {name: int(high_risk and draw.random() < 0.3) for name in SIGNALS}
        yield {"id": f"synthetic-{number}", "language": "en", "topic": "school", "turns": turns,
               "signals": signals, "high_risk": int(high_risk)}


def make_jsonl(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        for row in rows(1):
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            if file.tell() >= size:
                return


def make_parquet(path: Path, size: int) -> None:
    """With zstd, as `mindrail data convert` writes it."""
    import pyarrow
    import pyarrow.parquet

    text, flag = pyarrow.string(), pyarrow.int64()
    turn_type = pyarrow.struct({"role": text, "text": text, "crisis": pyarrow.list_(text), "response": text})
    schema = pyarrow.schema({
        "id": text, "language": text, "topic": text, "turns": pyarrow.list_(turn_type),
        "signals": pyarrow.struct(dict.fromkeys(SIGNALS, flag)), "high_risk": flag,
    })  # fmt: skip
    source = rows(2)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while path.stat().st_size < size:
            writer.write_table(pyarrow.Table.from_pylist([next(source) for _ in range(BATCH)], schema))


MAKE = {"jsonl": make_jsonl, "parquet": make_parquet}


def itself(*arguments: object) -> list[str]:
    return [sys.executable, __file__, *map(str, arguments)]


def timed(command: list[str]) -> dict:
    """Seconds of a process from start to end, its peak memory, and what it printed."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{command[0]} ended with {process.returncode}; nothing was measured")
        output.seek(0)
        return {"seconds": seconds, "peak_mb": usage.ru_maxrss * 1024 / MEGABYTE, "printed": json.loads(output.read())}


def ours(program: Path, path: Path) -> dict:
    run = timed([str(program), "data", "stats", "--json", str(path)])
    return run | {"rows": run["printed"]["samples"]}


def peer(name: str, path: Path, threads: int) -> dict:
    run = timed(itself("--peer", name, "--file", path, "--threads", threads))
    return run | run["printed"]


def summary(found: list[dict], file: dict, program: str, threads: int) -> dict:
    """The median run by time, and the highest peak."""
    if {run["rows"] for run in found} != {file["rows"]}:
        raise SystemExit(f"{program} read another number of rows than there are; nothing was measured")
    seconds = statistics.median(run["seconds"] for run in found)
    return {
        "format": file["format"], "program": program, "threads": threads, "seconds": round(seconds, 3),
        "mb_per_s": round(file["bytes"] / MEGABYTE / seconds, 1), "rows_per_s": round(file["rows"] / seconds),
        "peak_mb": round(max(run["peak_mb"] for run in found), 1), "runs": [round(run["seconds"], 3) for run in found],
    }  # fmt: skip


def measure_file(file: dict, path: Path, options) -> Iterator[dict]:
    file["rows"] = ours(options.program, path)["rows"]  # a warm-up too
    found = [ours(options.program, path) for _ in range(options.runs)]
    yield summary(found, file, "mindrail data stats", 1)
    for name in PEERS[file["format"]]:
        for threads in sorted({1, os.cpu_count() or 1} if name == "pyarrow, columns" else {1}):
            found = [peer(name, path, threads) for _ in range(options.runs)]
            yield summary(found, file, name, threads)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def machine(program: Path) -> dict:
    said = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return {
        "processor": processor(), "logical_cpus": os.cpu_count(), "load_before": os.getloadavg()[0],
        "system": platform.platform(), "mindrail": said(str(program), "--version"), "python": platform.python_version(),
        "pyarrow": said(sys.executable, "-c", "import pyarrow; print(pyarrow.__version__)"),
    }  # fmt: skip


def measure(options) -> dict:
    result: dict = {"machine": machine(options.program), "settings": {"runs": options.runs}, "files": [], "reading": []}
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as folder:
        for kind in MAKE:
            path = Path(folder) / f"synthetic.{kind}"
            subprocess.run(itself("--make", kind, "--file", path, "--megabytes", options.megabytes), check=True)
            file = {"format": kind, "bytes": path.stat().st_size}
            result["reading"] += measure_file(file, path, options)
            result["files"].append(file)
            path.unlink()
    return result


def table(result: dict) -> str:
    lines = ["| file | read by | threads | seconds | MB/s | rows/s | peak MB |", "|---|---|---:|---:|---:|---:|---:|"]
    for row in result["reading"]:
        lines.append(f"| {row['format']} | {row['program']} | {row['threads']} | {row['seconds']:.2f} | {row['mb_per_s']:.0f} "
                     f"| {row['rows_per_s']} | {row['peak_mb']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1_000, help="size of each file")
    parser.add_argument("--folder", type=Path, help="where the files stand while they are read; else a temporary one")
    parser.add_argument("--output", type=Path, help="where the figures go")
    parser.add_argument("--program", type=Path, default=Path("target/release/mindrail"))
    parser.add_argument("--runs", type=int, default=3)
    for name, kind in {"--peer": str, "--make": str, "--file": Path, "--threads": int}.items():
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)  # how this program calls itself
    options = parser.parse_args()

    if options.peer:
        return be_peer(options.peer, str(options.file), options.threads)
    if options.make:
        return MAKE[options.make](options.file, options.megabytes * MEGABYTE)
    options.program = options.program.resolve()  # a bare name would be looked for in PATH
    result = measure(options)
    for file in result["files"]:
        print(f"{file['format']}: {file['bytes'] / MEGABYTE:.0f} MB, {file['rows']} rows")
    print("\n" + table(result))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
