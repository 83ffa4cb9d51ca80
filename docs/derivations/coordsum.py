"""What `coordsum-3x10` pays agents without memory and without dice: at random, and at the best that a search finds.

    pip install numpy && python docs/derivations/coordsum.py

Such a team is a map from targets to what agent 0 does; the others do what is left. (Whoever throws dice loses sums where there
are any, as no one knows what another drew.) Maps are drawn at random among those that reach every sum there is. Four are climbed,
one target at a time, over the same 4,000 episodes, until a sweep gains less than .02, and valued by 20,000 others before and after;
200 more are only valued, by the 4,000. The rules are those of trainer/src/env/coordsum.rs.
"""

import random

import numpy as np

AGENTS, ACTIONS, TARGETS, STEPS = 3, 10, 30, 100
OTHERS = (AGENTS - 1) * (ACTIONS - 1)


def reaches(target, action):
    """Whether the others can add what agent 0 leaves."""
    return 0 <= target - action <= OTHERS


def draw(seed, episodes):
    return np.random.default_rng(seed).integers(0, TARGETS, (episodes, STEPS))


def value(team, targets):
    """The mean return of a team in episodes of the given targets."""
    episodes = np.arange(len(targets))
    counts = np.zeros((len(targets), ACTIONS, ACTIONS), dtype=np.int16)
    right = np.array([reaches(target, action) for target, action in enumerate(team)])
    team, total = np.asarray(team), 0
    for target in targets.T:
        row, action = np.minimum(target, ACTIONS - 1), team[target]
        guessed = counts[episodes, row].argmax(axis=1) == action
        total += (right[target] * np.where(guessed, 1, 2)).sum()
        counts[episodes, row, action] += 1
    return total / len(targets)


def choices(target):
    """What agent 0 may do: all, where no sum is right."""
    right = [action for action in range(ACTIONS) if reaches(target, action)]
    return right or list(range(ACTIONS))


def climbed(team, targets, order):
    """The map that no change of one target betters by much."""
    best = value(team, targets)
    while True:
        before = best
        for target in order.sample(range(TARGETS), TARGETS):
            for action in choices(target):
                other = [*team[:target], action, *team[target + 1 :]]
                found = value(other, targets)
                if found > best:
                    best, team = found, other
        if best < before + 0.02:
            return team


def main():
    search, fresh = draw(0, 4_000), draw(99, 20_000)
    for seed in range(4):
        order = random.Random(seed)
        start = [order.choice(choices(target)) for target in range(TARGETS)]
        end = climbed(start, search, order)
        print(f"start {seed}: {value(start, fresh):.1f}, climbed {value(end, fresh):.1f}: {end}", flush=True)
    starts = [
        value([order.choice(choices(target)) for target in range(TARGETS)], search)
        for order in map(random.Random, range(100, 300))
    ]
    print(f"200 at random: mean {np.mean(starts):.1f}, from {min(starts):.1f} to {max(starts):.1f}")


main()
