#!/usr/bin/env python3
"""JSON both ways against orjson and msgspec, in one process.

    python bench/json_bench.py                     # table on standard output
    python bench/json_bench.py --rounds 40 --only big,floats
    python bench/json_bench.py --module a.b  # a module with json_dumps(obj) and json_loads(bytes)

The peers take turns in every round, so that a disturbance hits all of them. Shown are nanoseconds
for one call (the median of all rounds) and how many times as long the peer takes (above 1: Cello is
ahead), from medians and from minima. "(fresh)" encodes strings that nobody encoded before: orjson
and msgspec keep the UTF-8 of a str in it, which makes the next time faster.
"""

import argparse
import gc
import importlib
import json
import random
import statistics
import time

from scenarios import BIG, ECHO


def documents():
    """The data sets: name -> a function that makes the value."""
    rng = random.Random(1)
    escapes = [
        'He said "no"\n\tand left: C:\\path\\to\\file',
        "a\nb\nc\nd\ne",
        '{"quoted": "json"}',
        "\x01\x1f",
    ]
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю"
    chinese = "敏捷的棕色狐狸跳过了懒狗然后它睡着了。"
    latin = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, déjà vu"
    mixed = "naïve 😀 café — “quotes” 中文 and plain text around it"
    return {
        "small": {"message": "Hello, World!"},
        "params": {"id": "12345", "q": "hello"},
        "echo": ECHO,
        "big": BIG,
        "floats": [rng.random() * 10 ** rng.randrange(-3, 6) for _ in range(1000)],
        "short_floats": [round(rng.random() * 1000, 2) for _ in range(1000)],
        "ints": [rng.randrange(10 ** rng.randrange(1, 18)) for _ in range(1000)],
        "escapes": escapes * 50,
        "text": ["The quick brown fox jumps over the lazy dog. " * 20] * 10,
        "cyrillic": [russian] * 50,
        "cjk": [chinese] * 50,
        "latin": [latin] * 50,
        "mixed": [mixed] * 50,
    }


def fresh(value):
    """A copy that shares no str with the original, as objects have that a program just made."""
    return json.loads(json.dumps(value))


def loops_for(call, budget_s):
    start = time.perf_counter()
    call()
    call()
    once = (time.perf_counter() - start) / 2
    return max(1, int(budget_s / max(once, 1e-7)))


def measure(calls, rounds, budget_s):
    """name -> nanoseconds per call of each round."""
    times = {name: [] for name in calls}
    loops = loops_for(next(iter(calls.values())), budget_s)
    repeat = range(loops)
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter_ns()
            for _ in repeat:
                call()
            times[name].append((time.perf_counter_ns() - start) / loops)
    return times


def encoders_over_fresh(encoders, value, copies):
    """Each call encodes objects that nobody encoded before."""
    pools = {name: [fresh(value) for _ in range(copies)] for name in encoders}
    times = {name: [] for name in encoders}
    for i in range(copies):
        for name, encode in encoders.items():
            start = time.perf_counter_ns()
            encode(pools[name][i])
            times[name].append(time.perf_counter_ns() - start)
    return times


def show(direction, document, size, times):
    ours = times["cello"]
    cells = [f"{direction:7} {document:13} {size:7}", f"{statistics.median(ours):10.0f}"]
    for peer, theirs in times.items():
        if peer != "cello":
            median = statistics.median(theirs) / statistics.median(ours)
            cells.append(f"{median:8.2f} {min(theirs) / min(ours):6.2f}")
    print("  ".join(cells), flush=True)


def peers():
    found = {"dumps": {}, "loads": {}}
    try:
        import orjson

        found["dumps"]["orjson"], found["loads"]["orjson"] = orjson.dumps, orjson.loads
    except ImportError:
        pass
    try:
        import msgspec

        found["dumps"]["msgspec"] = msgspec.json.Encoder().encode
        found["loads"]["msgspec"] = msgspec.json.Decoder().decode
    except ImportError:
        pass
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", default="cello._cello")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--budget", type=float, default=0.0004, help="seconds per peer, document and round"
    )
    parser.add_argument("--only", default="", help="names of documents, by commas")
    args = parser.parse_args()
    module = importlib.import_module(args.module)
    found = peers()
    dumps = {"cello": module.json_dumps, **found["dumps"]}
    loads = {"cello": module.json_loads, **found["loads"]}
    gc.collect()
    gc.freeze()
    print(
        f"{'':7} {'document':13} {'bytes':>7}  {'cello ns':>10}  "
        + "  ".join(f"{p:>15}" for p in found["dumps"])
    )
    wanted = set(filter(None, args.only.split(",")))
    for document, value in documents().items():
        if wanted and document not in wanted:
            continue
        text = dumps["cello"](value)
        calls = {name: (lambda f=f, v=value: f(v)) for name, f in dumps.items()}
        show("encode", document, len(text), measure(calls, args.rounds, args.budget))
        if not text.isascii():
            show("(fresh)", document, len(text), encoders_over_fresh(dumps, value, args.rounds * 3))
        calls = {name: (lambda f=f, t=text: f(t)) for name, f in loads.items()}
        show("decode", document, len(text), measure(calls, args.rounds, args.budget))


if __name__ == "__main__":
    main()
