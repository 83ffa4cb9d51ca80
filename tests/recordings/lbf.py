"""Records episodes of level-based foraging, for `tests/tests/env_parity_grid.rs`.

    pip install lbforaging==2.0.0 && python lbf.py

writes data/<task>.jsonl: a line about the recording, then a line an episode's start (`reset`) and a
line a step. Random draws happen at an episode's start only, so a start carries the whole state.

    start  {"reset": [spawned, players, foods], "obs": [digits of each agent], "may": a number an agent}
    step   {"act": actions, "reward": an entry an agent, "done": 0 or 1, "state": [players, foods],
            "obs": [digits of each agent], "may": a number an agent}

`may` has bit i where the original calls action i valid, which `-masked` tasks make a rule. Players and
foods are row, column, level of each, the foods in row-major order. Numbers are written as one digit each
(0-9, then a-z; - is -1), one after another.
"""

import json
import random
from pathlib import Path

import numpy as np
from lbforaging.foraging import ForagingEnv

SEED = 11
# Task, steps, and the arguments of the original's registration that differ between tasks. The
# original registers ids for one to four foods only; all else is as it would register it.
TASKS = [
    ("lbf-8x8-2p-2f-coop", 1200, dict(size=8, players=2, foods=2, sight=8, coop=True)),
    ("lbf-2s-8x8-2p-2f-coop", 1200, dict(size=8, players=2, foods=2, sight=2, coop=True)),
    ("lbf-15x15-3p-5f", 1000, dict(size=15, players=3, foods=5, sight=15, coop=False)),
    ("lbf-15x15-4p-3f", 1000, dict(size=15, players=4, foods=3, sight=15, coop=False)),
    # Crowded, for collisions and for windows that the walls cut.
    ("lbf-2s-6x6-6p-2f", 600, dict(size=6, players=6, foods=2, sight=2, coop=False)),
]


def make(size, players, foods, sight, coop):
    return ForagingEnv(
        players=players,
        min_player_level=1,
        max_player_level=2,
        field_size=(size, size),
        min_food_level=1,
        max_food_level=None,
        max_num_food=foods,
        sight=sight,
        max_episode_steps=50,
        force_coop=coop,
        grid_observation=False,
        penalty=0.0,
    )


def useful(env, player, rng):
    """Towards the first food there is, and loads beside it."""
    rows, columns = np.nonzero(env.field)
    if len(rows) == 0:
        return rng.randrange(6)
    row, column = player.position
    down, right = int(rows[0]) - row, int(columns[0]) - column
    if abs(down) + abs(right) == 1:
        return 5
    moves = [1 if down < 0 else 2] * abs(down) + [3 if right < 0 else 4] * abs(right)
    return rng.choice(moves)


def digits(values):
    return "".join("-0123456789abcdefghijklmnopqrstuvwxyz"[int(value) + 1] for value in values)


def state(env):
    players = [v for p in env.players for v in (*p.position, p.level)]
    foods = [v for r, c in zip(*np.nonzero(env.field)) for v in (r, c, env.field[r, c])]
    return digits(players), digits(foods)


def observed(observations):
    assert all((o == o.astype(int)).all() for o in observations)
    return [digits(o) for o in observations]


def may(env):
    return [sum(1 << action.value for action in env._valid_actions[player]) for player in env.players]


def record(name, steps, arguments):
    env, rng = make(**arguments), random.Random(f"{SEED} {name}")
    observations, _ = env.reset(seed=SEED)
    lines = [{"task": name, "original": "lbforaging 2.0.0", "seed": SEED}]

    def start(observations):
        spawned = int(env.field.sum())
        lines.append({"reset": [spawned, *state(env)], "obs": observed(observations), "may": may(env)})

    start(observations)
    # How often an agent acts at random, by episode.
    noise = [0.1, 0.3, 0.6, 1.0]
    episode, paid, full = 0, 0.0, 0
    for _ in range(steps):
        actions = [
            rng.randrange(6) if rng.random() < noise[episode % 4] else useful(env, player, rng)
            for player in env.players
        ]
        observations, rewards, done, truncated, _ = env.step(actions)
        assert not truncated
        lines.append(
            {
                "act": actions,
                "reward": [float(r) or 0 for r in rewards],
                "done": int(done),
                "state": state(env),
                "obs": observed(observations),
                "may": may(env),
            }
        )
        paid += sum(rewards)
        if done:
            full += int(env.field.sum() == 0)
            episode += 1
            observations, _ = env.reset()
            start(observations)
    path = Path(__file__).parent / "data" / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{name}: {episode} episodes, {full} of them cleared, {paid:.2f} paid, {path.stat().st_size} bytes")


def spawns(draws):
    """How often, over many starts on a field that is too narrow, foods lie where, how many there
    are, and their mean level: for the test of spawning in trainer/src/env/lbf/tests.rs."""
    env = make(size=6, players=3, foods=4, sight=6, coop=False)
    cells, counts, levels = np.zeros((6, 6), int), [0] * 5, 0
    env.reset(seed=SEED)
    for _ in range(draws):
        for player in env.players:
            player.position = None  # Else the last start's places are taken.
        env.reset()
        cells += env.field > 0
        counts[(env.field > 0).sum()] += 1
        levels += int(env.field.sum())
    print(f"of {draws} starts: foods by cell {cells[1:5, 1:5].tolist()}, by number {counts}, levels {levels}")


for task in TASKS:
    record(*task)
spawns(20_000)
