"""Makes run folders at moments that another process keeps too: `python pairs.py START ROUNDS [OUT]`.

Prints the path of each folder, or `refused`, a line per round.
"""

import sys
import time
from pathlib import Path

import pinnkit as pk
from pinnkit.runs.folder import RunFolder

INTERVAL = 0.02


def main():
    start, rounds, out = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None
    print("ready", flush=True)
    start += float(sys.stdin.readline())
    for number in range(rounds):
        while time.time() < start + number * INTERVAL:
            pass
        try:
            print(RunFolder.create("pair", Path(f"{out}{number}") if out else None).path)
        except pk.UsageError:
            print("refused")


if __name__ == "__main__":
    main()
