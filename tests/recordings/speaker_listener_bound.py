"""What a speaker and a listener can earn at most in MPE speaker-listener, and what a plan does earn.

    python3 speaker_listener_bound.py [EPISODES [PLANNED [BEAM]]]        needs numpy

The return is the sum over both agents, -2 |x - goal|^2 a step. Chance ends with the draw of start, landmarks and
goal. The first word is heard before the second push, so a policy is, for each draw of start and landmarks and of its
own dice, one first push and, for each of the three goals, the pushes after it. No policy costs less than the best
such plan, averaged over the goals.

From above. Places are linear in the pushes. Let a push be anything in the convex hull of those there are: then the
cost is convex, and its least value is at most that of any plan. The hull of none, left, right, down and up is |x| +
|y| <= 1, which in axes turned by 45 degrees is a square, |each| <= 1 / sqrt 2; pushes by degrees are a square
already, |each| <= 1, and there the hull adds nothing: the bound is what the best plan earns. Squares and squared
distances come apart along the axes, so each axis is a problem of its own, in 1 + 3 * 24 numbers within bounds. It is
solved by accelerated projected gradients. A convex f has f(q) >= f(p) + f'(p) (q - p), and the least of the right
side over all q within the bounds is a sum over single pushes: that number is the bound, whatever p is, and p is
improved until f(p) is at most 5e-5 more: over both axes, 1e-4.

From below. Over the first PLANNED episodes a beam search finds plans of the five pushes: for each first push one per
goal, and of those the first push that is best on average. The difference from the bound, which is never negative, is
averaged over them and taken off the bound.

Both orders of motion: mpe2 1.1.1 moves by the velocities before a step, the environments of 2017 by those after it.
The squared distance at the start, whose mean is 4/3, is a control variate. 5,000 episodes, 500 of them planned with a
beam of 200, take two minutes of one core and say (+- half of the 95 % interval; an episode's deviation is that of the
plan which nearly meets the bound)

                          at most            a plan of the beam   an episode's deviation
    mpe2 1.1.1  discrete    -14.85 +- 0.05     -14.92 +- 0.05       16.1
                continuous  -11.69 +- 0.03     the same             11.7
    2017        discrete    -12.19 +- 0.05     -12.25 +- 0.05       13.9
                continuous   -9.03 +- 0.03     the same              9.4
"""

import sys

import numpy as np

FORCE, STEPS, STEP, KEPT = 5.0, 25, 0.1, 0.75
PUSHES = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
TURN = np.array([[1, 1], [1, -1]]) / 2**0.5
LEFT_OVER = 5e-5


def moved(places, speeds, pushes, late):
    after = KEPT * speeds + STEP * FORCE * pushes
    return places + STEP * (speeds if late else after), after


def response(late):
    """How far a full push in each step (columns) has moved the listener after each step (rows)."""
    places, speeds, rows = np.zeros(STEPS), np.zeros(STEPS), []
    for pushes in np.eye(STEPS):
        places, speeds = moved(places, speeds, pushes, late)
        rows.append(places)
    return np.array(rows)


def relaxed(starts, reach, late):
    """For starts [episodes, goals] along one axis, as seen from the goals, and pushes of at most `reach`: a lower bound on the cost
    of every plan, averaged over the goals, and what a plan that comes near it costs with each goal."""
    moves = response(late)
    curvature, slope = 4 * moves.T @ moves, 4 * moves.sum(0)
    rate = 1 / np.linalg.eigvalsh(curvature)[-1]
    bounds, costs = np.empty(len(starts)), np.empty(starts.shape)
    open_, starts = np.arange(len(starts)), starts[:, :, None]
    plan = ahead = np.zeros((*starts.shape[:2], STEPS))
    pace, turn = np.ones(len(starts)), 0
    while len(open_):
        better = ahead - rate * (ahead @ curvature + starts * slope)
        better[:, :, 0] = better[:, :, 0].mean(1, keepdims=True)
        better = better.clip(-reach, reach)
        # Nesterov's momentum, from nothing again where it leads uphill.
        uphill = ((ahead - better) * (better - plan)).sum((1, 2)) > 0
        faster = np.where(uphill, 1, (1 + (1 + 4 * pace**2) ** 0.5) / 2)
        momentum = np.where(uphill, 0, (pace - 1) / faster)
        ahead = better + momentum[:, None, None] * (better - plan)
        plan, pace, turn = better, faster, turn + 1
        if turn % 20 == 0:
            cost = 2 * ((starts + plan @ moves.T) ** 2).sum(2)
            gradient = plan @ curvature + starts * slope
            least = np.abs(gradient[:, :, 1:]).sum((1, 2)) + np.abs(gradient[:, :, 0].sum(1))
            gap = ((gradient * plan).sum((1, 2)) + reach * least) / starts.shape[1]
            bounds[open_], costs[open_] = cost.mean(1) - gap, cost
            on = gap > LEFT_OVER
            open_, starts, plan, ahead, pace = open_[on], starts[on], plan[on], ahead[on], pace[on]
    return bounds, costs


def planned(place, speed, cost, beam, late):
    """The cost of the best plan that a beam search finds for the steps left, from the goal's point of view."""
    coast = STEP / (1 - KEPT) * (1 if late else KEPT)
    places, speeds, costs = place[None], speed[None], np.array([cost])
    for _ in range(STEPS - 1):
        count = len(places)
        places, speeds = moved(places[:, None], speeds[:, None], PUSHES[None], late)
        places = np.broadcast_to(places, (count, 5, 2)).reshape(-1, 2)
        speeds = speeds.reshape(-1, 2)
        costs = np.repeat(costs, 5) + 2 * (places**2).sum(-1)
        if len(costs) > beam:
            promise = costs + 8 * ((places + coast * speeds) ** 2).sum(-1)
            kept = np.argpartition(promise, beam)[:beam]
            places, speeds, costs = places[kept], speeds[kept], costs[kept]
    return costs.min()


def plan_cost(starts, beam, late):
    """What the plans of five pushes cost on average over the goals, with the best first push."""
    table = np.empty((len(PUSHES), len(starts)))
    for first, push in enumerate(PUSHES):
        for goal, start in enumerate(starts):
            place, speed = moved(start, np.zeros(2), push, late)
            table[first, goal] = planned(place, speed, 2 * (place**2).sum(), beam, late)
    return table.mean(1).min()


def half(values):
    return 1.96 * np.std(values) / len(values) ** 0.5


def main(episodes=5000, count=500, beam=200):
    rng = np.random.default_rng(1)
    starts = rng.uniform(-1, 1, (episodes, 1, 2)) - rng.uniform(-1, 1, (episodes, 3, 2))
    squares = (starts**2).sum(2).mean(1)
    for order, late in [("mpe2 1.1.1", True), ("2017", False)]:
        for pushes, seen, reach in [("discrete", starts @ TURN, 0.5**0.5), ("continuous", starts, 1.0)]:
            (x, x_costs), (y, y_costs) = (relaxed(seen[:, :, axis], reach, late) for axis in (0, 1))
            costs, deviation = x + y, np.std(x_costs + y_costs)
            slope = np.cov(costs, squares)[0, 1] / np.var(squares, ddof=1)
            controlled = costs - slope * (squares - 4 / 3)
            line = f"{order:11} {pushes:11} at most {-controlled.mean():.3f} +- {half(controlled):.3f}"
            if pushes == "discrete":
                more = [plan_cost(own, beam, late) for own in starts[:count]] - costs[:count]
                assert more.min() >= 0
                earned = -controlled.mean() - more.mean()
                line += f"  a plan {earned:.3f} +- {half(controlled) + half(more):.3f}"
                line += f" (less by {more.mean():.3f} +- {half(more):.3f})"
            print(f"{line}  an episode's deviation {deviation:.1f}, without control +- {half(costs):.2f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
