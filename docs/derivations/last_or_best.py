"""Whether a lone arm should export what stood at the highest point of its curve in the place of what it ended with.

    python docs/derivations/last_or_best.py

The highest of noisy points is too high by itself. The points before and after it are not chosen, and the networks
there are nearly the same: their mean says what the best would have earned. It is held against what the exported
images earn. A point is a mean of 64 episodes or fewer, whose deviation is taken from the images' episodes.
"""

import json
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

EPISODES = 64
gains, lost, runs = {}, [], 0
for page in ("time-limit-128", "time-limit"):
    for line in (Path(__file__).parent.parent / "results" / page / "runs.jsonl").open():
        run = json.loads(line)
        if len(run["arms"]) != 1:
            continue
        points = [point["product"] for point in run["arms"][0]["points"]]
        best = max(range(1, len(points) - 1), key=lambda at: points[at])
        gain = (points[best - 1] + points[best + 1]) / 2 - run["value"]
        valued = run["valued"]["by-episodes"]
        images = valued["half"] / 1.96
        error = images * sqrt(1 + valued["episodes"] / (2 * EPISODES))
        runs += 1
        gains.setdefault(run["task"], []).append(100 * gain / abs(run["value"]))
        if gain > 2 * error:
            lost.append((page, run["task"], run["method"], run["seed"], round(gain, 3), round(run["value"], 3)))

tasks = [mean(values) for values in gains.values()]
print(f"{runs} runs: around the highest point {mean(tasks):+.1f} % of the images' return, +- {stdev(tasks) / sqrt(len(tasks)):.1f} over tasks")
print(f"better by more than two standard errors in {len(lost)}:", *lost)
for task, values in gains.items():
    print(f"  {task}: {mean(values):+.1f} %")
