"""How fast `mindrail serve` is, how much memory it takes and what it does when too much
is asked: writes docs/bench_serve.json.

    apt-get install wrk
    cargo build --release --workspace --examples --bins
    python3 scripts/bench_serve.py [--overhead | --soak SECONDS]

Server and load share the machine's cores, over loopback; the store is a SQLite file on
the folder's disk, synchronous in full, so a decision is on disk before it is answered.
`steady_load` (an example of the server's crate) asks at an even rate, and `wrk` as fast as
it is answered. Each measurement has a fresh store and a warm-up of 3 seconds. Loads are bounded
in time and end by themselves.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
FIXED = os.path.join(RELEASE, "examples", "serve_fixed")
STEADY = os.path.join(RELEASE, "examples", "steady_load")
MODEL = os.path.join(RELEASE, "mindrail")
TURN = "i have not slept much this week and everything feels heavy, but talking helps a bit"
PORT = 8399
URL = f"http://127.0.0.1:{PORT}"

# Each request opens a conversation of its own.
LUA = """
local thread = 0
function setup(t) t:set("id", thread); thread = thread + 1 end
function init(args) count = 0 end
function request()
  count = count + 1
  local name = id .. "-" .. count %% %d
  return wrk.format("POST", "/v1/guard", {["Content-Type"] = "application/json"},
    '{"conversation_id": "' .. name .. '", "messages": [{"role": "user", "content": "%s"}]}')
end
function done(summary, latency, requests)
  local s = summary
  print(string.format("RESULT %%d %%d %%d %%d %%d %%d %%d", s.requests, s.duration, s.errors.status,
    s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""


class Server:
    """A server on a fresh store."""

    def __init__(self, command, place=None):
        self.folder = tempfile.TemporaryDirectory(dir=place or os.environ.get("BENCH_DIR"))
        store = os.path.join(self.folder.name, "store.db")
        self.process = subprocess.Popen(command(store), stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{URL}/healthz", timeout=1)
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the server does not start")

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def fixed(store):
    return [FIXED, f"127.0.0.1:{PORT}", store]


def model(store):
    return [MODEL, "serve", "--listen", f"127.0.0.1:{PORT}", "--store", store]


def steady(rate, seconds, connections=8, path="/v1/guard"):
    """Asks at an even rate; times count from when each request was due."""
    command = [STEADY, f"127.0.0.1:{PORT}", str(rate), str(seconds), str(connections), path]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def wrk(seconds, connections, names, threads=1):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % (names, TURN))
        script.flush()
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name, URL]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, micros, refused, broken, p50, p99, worst = map(int, re.search(r"RESULT (.*)", said)[1].split())
    return {"connections": connections, "requests": count, "per_s": round(count / micros * 1e6, 1),
            "refused": refused, "broken": broken, "p50_ms": p50 / 1000, "p99_ms": p99 / 1000, "max_ms": worst / 1000}


def disk(writes=3_000):
    """What one sync of a page of the log costs on the disk of the store, with nothing else."""
    with tempfile.NamedTemporaryFile(dir=os.environ.get("BENCH_DIR")) as file:
        times = []
        for _ in range(writes):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(max(0, 0.001 - times[-1] / 1000))
    times.sort()
    return {"writes": writes, "p50_ms": times[writes // 2], "p99_ms": times[int(writes * 0.99)]}


def overhead(rounds=3):
    """At 1,000/s without a model, side by side: a request that does nothing, a decision with
    its store in memory, one with its store on disk, and the disk alone."""
    found = {"nothing (GET /healthz)": [], "store in memory": [], "store on disk": [], "the disk alone": []}
    for _ in range(rounds):
        with Server(fixed, "/dev/shm"):
            steady(1000, 3)
            found["nothing (GET /healthz)"].append(steady(1000, 15, path="/healthz"))
            found["store in memory"].append(steady(1000, 15))
        with Server(fixed):
            steady(1000, 3)
            found["store on disk"].append(steady(1000, 15))
        found["the disk alone"].append(disk())
    middle = lambda runs, figure: round(sorted(run[figure] for run in runs)[rounds // 2], 3)
    return {"rounds": rounds} | {
        name: {figure: middle(runs, figure) for figure in ("p50_ms", "p99_ms")} for name, runs in found.items()
    }


def soak(seconds, rate=100):
    """Memory each half minute, under a steady load."""
    with Server(model) as server:
        samples, answers = [], []
        load = threading.Thread(target=lambda: answers.append(steady(rate, seconds, 2)))
        load.start()
        while load.is_alive():
            samples.append(round(server.memory_mb(), 1))
            load.join(30)
        return {"load": answers[0], "rss_mb_each_30_s": samples}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soak", type=int, default=0, help="seconds, in place of all else; 600 is ten minutes")
    parser.add_argument("--overhead", action="store_true", help="only what a decision costs without a model")
    arguments = parser.parse_args()
    if arguments.overhead:
        return write("no_model_overhead", overhead())
    if arguments.soak:
        return write("soak", soak(arguments.soak))
    result = {
        "cpu": re.search(r"model name\s+: (.*)", open("/proc/cpuinfo").read())[1],
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
        "turn_characters": len(TURN),
    }
    result["no_model_overhead"] = overhead()
    with Server(fixed):
        steady(1000, 3)
        result["no_model_closed_loop"] = wrk(15, 32, 100_000)
    with Server(model) as server:
        steady(100, 3)
        result["model_closed_loop"] = wrk(20, 4, 100_000)
        half = round(result["model_closed_loop"]["per_s"] / 2)
        result["model_at_half_load"] = steady(half, 20)
        result["model_at_five_times_capacity"] = wrk(15, 660, 100_000)
        result["after_that_at_half_load"] = steady(half, 5)
    with Server(model) as server:
        before = server.memory_mb()
        wrk(5, 2, 100_000)
        seconds = 0
        while seconds < 60 and conversations() < 10_000:
            wrk(10, 8, 100_000)
            seconds += 10
        result["memory"] = {"rss_mb_before": round(before, 1), "conversations": conversations(),
                            "rss_mb_after": round(server.memory_mb(), 1)}
    for name, figures in result.items():
        write(name, figures)


def write(name, figures):
    """Puts figures into docs/bench_serve.json, and leaves the others as they are."""
    path = os.path.join(ROOT, "docs", "bench_serve.json")
    known = json.load(open(path)) if os.path.exists(path) else {}
    known[name] = figures
    print(name, json.dumps(figures))
    with open(path, "w") as file:
        file.write(json.dumps(known, indent=2) + "\n")


def conversations():
    """Decisions so far, each of which opened a conversation or took one further."""
    said = urllib.request.urlopen(f"{URL}/metrics").read().decode()
    return int(re.search(r'result="decided"} (\d+)', said)[1])


if __name__ == "__main__":
    main()
