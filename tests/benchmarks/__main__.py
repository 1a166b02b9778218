"""The command: `python -m tests.benchmarks`. See README.md beside this file."""

import argparse
import json
from pathlib import Path

from . import report
from .measure import MEASUREMENTS, Samples, canned_server, measure


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure qonduit against raw httpx and the SDKs, interleaved, as ratios to raw httpx.",
    )
    parser.add_argument("--rounds", type=int, help="rounds of every measurement; 5, or 3 with --quick")
    parser.add_argument(
        "--quick", action="store_true", help="fewer calls and rounds: rough figures in about two minutes"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[it.name for it in MEASUREMENTS],
        metavar="NAME",
        help="only this measurement (repeatable): " + ", ".join(it.name for it in MEASUREMENTS),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round to FILE")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"--rounds is {arguments.rounds}; expected at least 1")
    return arguments


def main() -> None:
    arguments = _arguments()
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    print("; ".join(f"{name} {version}" for name, version in report.environment().items()))
    print(f"{rounds} interleaved rounds, every turn in a fresh process\n")
    all_samples: dict[str, Samples] = {}
    with canned_server() as server_url:
        for measurement in MEASUREMENTS:
            if arguments.only and measurement.name not in arguments.only:
                continue
            samples = measure(measurement, server_url, rounds=rounds, quick=arguments.quick)
            all_samples[measurement.name] = samples
            print(report.table(samples), end="\n\n", flush=True)
    print(report.target_lines(all_samples))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(all_samples), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
