"""Records episodes of the multi-robot warehouse, for `tests/tests/env_parity_grid.rs`.

    pip install rware==2.0.0 && python rware.py

writes data/<task>.jsonl: a line about the recording, then a line an episode's start (`reset`) and a
line a step.

    start  {"reset": [robots, shelves, requests], "obs": [an entry an agent]}
    step   {"act": actions, "reward": an entry an agent, "done": 0 or 1, "robots": robots,
            "requests": requests, "drawn": the shelves requested anew, in the order of the draws,
            "obs": [an entry an agent]}

Robots are a flat list of x, y, direction, shelf carried; shelves of x, y; shelves count from 1 and 0
is none. A carried shelf is where its robot is. An agent's observation is [x, y, the other 69 values,
which are bits, as a hexadecimal number with the first value as its highest bit].
"""

import json
import random
import sys
from pathlib import Path

sys.path.pop(0)  # this folder: the package is wanted, not this file

import gymnasium as gym
import numpy as np
import rware  # registers the tasks
from rware.warehouse import Direction

SEED = 11
TASKS = [
    ("rware-tiny-2ag", 1300),
    ("rware-tiny-4ag", 1200),
    ("rware-small-4ag", 1200),
    # Crowded, for queues and cycles.
    ("rware-tiny-12ag", 350),
]
NOOP, FORWARD, LEFT, RIGHT, TOGGLE = range(5)
CLOCKWISE = [Direction.UP, Direction.RIGHT, Direction.DOWN, Direction.LEFT]
STEP = {Direction.UP: (0, -1), Direction.DOWN: (0, 1), Direction.LEFT: (-1, 0), Direction.RIGHT: (1, 0)}


class Draws:
    """A generator that remembers which shelves it chose."""

    def __init__(self, generator):
        self.generator, self.drawn = generator, []

    def __getattr__(self, name):
        return getattr(self.generator, name)

    def choice(self, among, *arguments, **keywords):
        chosen = self.generator.choice(among, *arguments, **keywords)
        if hasattr(chosen, "id"):
            self.drawn.append(int(chosen.id))
        return chosen


def first_step(env, start, goals, loaded):
    """The first cell of a shortest way from start to any of goals, or None."""
    height, width = env.grid_size
    before, queue = {start: None}, [start]
    for cell in queue:
        if cell in goals and cell != start:
            while before[cell] != start:
                cell = before[cell]
            return cell
        for dx, dy in STEP.values():
            to = (cell[0] + dx, cell[1] + dy)
            inside = 0 <= to[0] < width and 0 <= to[1] < height
            if inside and to not in before and not (loaded and env.grid[1, to[1], to[0]]):
                before[to] = cell
                queue.append(to)
    return None


def useful(env, robot, rng):
    """Fetches a requested shelf, takes it to a goal and puts it down at a free place."""
    here = (int(robot.x), int(robot.y))
    shelf = robot.carrying_shelf
    carried = {id(a.carrying_shelf) for a in env.agents}
    if shelf is None:
        goals = {(int(s.x), int(s.y)) for s in env.request_queue if id(s) not in carried}
    elif shelf in env.request_queue:
        goals = set(env.goals)
    else:
        free = np.argwhere((env.highways == 0) & (env.grid[1] == 0))
        goals = {(int(x), int(y)) for y, x in free}
        if not env.highways[here[1], here[0]]:
            return TOGGLE
    if here in goals:
        return TOGGLE if shelf is None else NOOP
    to = first_step(env, here, goals, shelf is not None)
    if to is None:
        return rng.randrange(5)
    wanted = next(d for d, (dx, dy) in STEP.items() if (here[0] + dx, here[1] + dy) == to)
    turns = (CLOCKWISE.index(wanted) - CLOCKWISE.index(robot.dir)) % 4
    return [FORWARD, RIGHT, RIGHT, LEFT][turns]


def robots(env):
    carried = lambda a: a.carrying_shelf.id if a.carrying_shelf else 0
    return [int(v) for a in env.agents for v in (a.x, a.y, a.dir.value, carried(a))]


def requests(env):
    return [int(s.id) for s in env.request_queue]


def observed(observations):
    def one(o):
        assert len(o) == 71 and set(o[2:]) <= {0.0, 1.0}
        bits = "".join(str(int(v)) for v in o[2:])
        return [int(o[0]), int(o[1]), f"{int(bits, 2):x}"]

    return [one(o) for o in observations]


def record(name, steps):
    env, rng = gym.make(f"{name}-v2", disable_env_checker=True).unwrapped, random.Random(f"{SEED} {name}")
    observations, _ = env.reset(seed=SEED)
    env._np_random = Draws(env._np_random)
    lines = [{"task": name, "original": "rware 2.0.0", "seed": SEED}]

    def start(observations):
        shelves = [int(v) for s in env.shelfs for v in (s.x, s.y)]
        whole = [robots(env), shelves, requests(env)]
        lines.append({"reset": whole, "obs": observed(observations)})

    start(observations)
    # How often an agent acts at random, by stretches of 100 steps; random robots mostly drive.
    noise = [0.05, 0.2, 0.5, 1.0]
    paid = 0.0
    for step in range(steps):
        actions = []
        for robot in env.agents:
            if rng.random() < noise[step // 100 % 4]:
                actions.append(rng.choice([NOOP, FORWARD, FORWARD, FORWARD, LEFT, RIGHT, TOGGLE]))
            else:
                actions.append(useful(env, robot, rng))
        env._np_random.drawn.clear()
        observations, rewards, done, truncated, _ = env.step(actions)
        assert not truncated
        lines.append(
            {
                "act": actions,
                "reward": [int(r) for r in rewards],
                "done": int(done),
                "robots": robots(env),
                "requests": requests(env),
                "drawn": list(env._np_random.drawn),
                "obs": observed(observations),
            }
        )
        paid += sum(rewards)
        if done:
            observations, _ = env.reset()
            start(observations)
    path = Path(__file__).parent / "data" / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{name}: {steps} steps, {paid:.0f} delivered, {path.stat().st_size} bytes")


for task in TASKS:
    record(*task)
