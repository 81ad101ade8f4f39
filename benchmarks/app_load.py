"""Is the page quick while a model is being trained? `python -m benchmarks.app_load`.

It serves the page as `wavemore app` does, in an empty folder, with a model of the bundled names. One client trains on
the same names for as long as it takes; the others ask for new items, one request after the other, with a pause between
two as people make (`--pause 0` for none), and with other wishes after every fifth one. Latencies are those that a
client sees over HTTP, on the same machine and its processors. The record is records/app-load.json.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import httpx

from wavemore.runs.environment import environment
from wavemore.text.datasets import DATASETS

RECORD = Path(__file__).resolve().parents[1] / "records" / "app-load.json"
LIST = Path(__file__).resolve().parents[1] / "src" / "wavemore" / "text" / DATASETS["names"].file
COUNT, SAME = 10, 5
"""Items of a request, and requests of a client with the same wishes."""
REST = ["", "", "", 0, 0, 0.8, True, -1, ""]
"""The other wishes of a request: none."""
TIMEOUT = 60.0
MOST_MINUTES = 20.0
"""Of the training: the clients are done before."""


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app_load", description="The page under load.")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--requests", type=int, default=1_000, help="of all clients together")
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two requests of a client")
    parser.add_argument("--output", type=Path, default=RECORD)
    arguments = parser.parse_args()
    words = [f"--clients {arguments.clients}", f"--requests {arguments.requests}", f"--pause {arguments.pause:g}"]
    with tempfile.TemporaryDirectory() as folder:
        run = ["train", "names", "--run", "runs/names-1", "--threads", "1"]
        subprocess.run([sys.executable, "-m", "wavemore", *run], check=True, cwd=folder, capture_output=True)
        with served(Path(folder)) as url:
            _ask(url, 0, 3, 0.0, [], [])  # the first request loads the model
            alone = load(url, arguments.clients, arguments.requests // 4, arguments.pause)
            with training(url) as trained:
                beside = load(url, arguments.clients, arguments.requests, arguments.pause)
                still = trained()
    record = {
        "command": " ".join(["python -m benchmarks.app_load", *words]),
        "clients": arguments.clients,
        "items": COUNT,
        "pause_seconds": arguments.pause,
        "beside_training": beside | {"training_steps": still},
        "without_training": alone,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    print(json.dumps(record, indent=1))
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the page in a folder, as the command does; yield its address."""
    command = [sys.executable, "-m", "wavemore", "app", "--no-open"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.split()[4].rstrip(";/")
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def training(url: str) -> Iterator[Any]:
    """Train in the block; yield a function that says how many reports of steps there were."""
    reports: list[dict[str, Any]] = []
    ended = threading.Event()

    def follow() -> None:
        with httpx.Client(timeout=None, trust_env=False) as client:
            for report in events(client, url, "train", [LIST.read_text(encoding="utf-8"), MOST_MINUTES]):
                reports.append(report)
                if ended.is_set():
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    while not any(report["state"] == "learning" for report in reports):
        assert thread.is_alive(), reports[-1:]
        sleep(0.5)
    yield lambda: len({report["seconds"] for report in reports})
    assert reports[-1]["state"] == "learning", reports[-1]
    ended.set()
    thread.join()


def load(url: str, clients: int, requests: int, pause: float) -> dict[str, Any]:
    """Let some clients ask for items at once; return their latencies, and how many requests failed."""
    seconds: list[float] = []
    errors: list[str] = []
    threads = [
        threading.Thread(target=_ask, args=(url, number, requests // clients, pause, seconds, errors))
        for number in range(clients)
    ]
    start = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = perf_counter() - start
    cuts = statistics.quantiles(seconds, n=20)
    return {
        "requests": len(seconds) + len(errors),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "median_ms": 1e3 * statistics.median(seconds),
        "p95_ms": 1e3 * cuts[18],
        "slowest_ms": 1e3 * max(seconds),
        "requests_per_second": len(seconds) / whole,
    }


def _ask(url: str, seed: int, requests: int, pause: float, seconds: list[float], errors: list[str]) -> None:
    """Ask for items, one request after the other."""
    chance, beginning, ending = random.Random(seed), "", ""
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
        for number in range(requests):
            sleep(chance.expovariate(1 / pause) if pause else 0)
            if number % SAME == 0:
                beginning, ending = chance.choice(["", *"abcdefghjklmnrst"]), chance.choice(["", "", "", "a", "n"])
            start = perf_counter()
            try:
                [items] = list(events(client, url, "sample", ["names-1", COUNT, beginning, ending, *REST]))
                assert len(items) == COUNT, items
                assert all(_meets(item, beginning, ending) for item in items), items
            except (httpx.HTTPError, AssertionError, ValueError, RuntimeError) as error:
                errors.append(repr(error))
            else:
                seconds.append(perf_counter() - start)


def _meets(item: dict[str, Any], beginning: str, ending: str) -> bool:
    text = str(item["text"])
    return bool(item["new"]) and text.startswith(beginning) and text.endswith(ending)


def events(client: httpx.Client, url: str, name: str, values: list[Any]) -> Iterator[Any]:
    """Call an endpoint, and yield what it answers."""
    called = client.post(f"{url}/gradio_api/call/{name}", json={"data": values}).raise_for_status()
    kind = ""
    with client.stream("GET", f"{url}/gradio_api/call/{name}/{called.json()['event_id']}") as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind == "error":
                raise RuntimeError(line)
            elif line.startswith("data: ") and kind in ("generating", "complete"):
                values = json.loads(line.removeprefix("data: "))
                if values and not (kind == "complete" and name == "train"):
                    yield values[0]


if __name__ == "__main__":
    main()
