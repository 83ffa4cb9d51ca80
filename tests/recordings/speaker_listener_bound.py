"""What a listener that plans could earn at most in MPE speaker-listener with discrete actions.

    python3 speaker_listener_bound.py [EPISODES [BEAM]]        needs numpy

A beam search over the listener's five pushes in each of 25 steps, told the goal from the second step on; in the
first it takes the push that is best on average over the three goals. The return is the sum over both agents,
-2 |x - goal|^2 a step. Two orders of motion: `mpe2` 1.1.1 moves by the velocities before a step, the
environments of 2017 by those after it. 1,500 episodes and a beam of 200 say

    mpe2 1.1.1   -14.62 +- 0.51      2017   -12.06 +- 0.44      (95 %; an episode's deviation is 10 and 8.6)
"""

import sys

import numpy as np

PUSHES = 5.0 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
STEPS, STEP, KEPT = 25, 0.1, 0.75


def moved(positions, velocities, pushes, late):
    after = KEPT * velocities + STEP * pushes
    return positions + STEP * (velocities if late else after), after


def planned(position, velocity, cost, beam, late):
    """The least cost of the steps left, from the goal's point of view."""
    positions, velocities, costs = position[None], velocity[None], np.array([cost])
    for _ in range(STEPS - 1):
        count = len(positions)
        places, speeds = moved(positions[:, None], velocities[:, None], PUSHES[None], late)
        places = np.broadcast_to(places, (count, 5, 2)).reshape(-1, 2)
        speeds = speeds.reshape(-1, 2)
        costs = np.repeat(costs, 5) + 2 * (places**2).sum(-1)
        if len(costs) > beam:
            promise = costs + 8 * ((places + 0.4 * speeds) ** 2).sum(-1)
            kept = np.argpartition(promise, beam)[:beam]
            places, speeds, costs = places[kept], speeds[kept], costs[kept]
        positions, velocities = places, speeds
    return costs.min()


def main(episodes=1500, beam=200):
    for name, late in [("mpe2 1.1.1", True), ("2017", False)]:
        rng = np.random.default_rng(1)
        returns = []
        for _ in range(episodes):
            landmarks, start = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, 2)
            table = np.empty((len(PUSHES), len(landmarks)))
            for first, push in enumerate(PUSHES):
                for goal, landmark in enumerate(landmarks):
                    place, speed = moved(start - landmark, np.zeros(2), push, late)
                    table[first, goal] = planned(place, speed, 2 * (place**2).sum(), beam, late)
            returns.append(-table.mean(1).min())
        half = 1.96 * np.std(returns) / len(returns) ** 0.5
        print(f"{name:12} {np.mean(returns):.2f} +- {half:.2f}, an episode's deviation {np.std(returns):.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
