"""Derives the coefficients of tanh and exp in runtime/src/math.rs.

    pip install mpmath && python docs/derivations/elementary.py

Both are weighted minimax fits, found by the exchange algorithm of Remez in 40 digits: the error of
the best quotient of given degrees reaches the same extreme at as many points as it has
coefficients, plus one, with alternating signs. The coefficients are then rounded to f32;
runtime/tests/elementary.rs measures what the rounded ones achieve in f32 arithmetic.
"""

import struct

from mpmath import cos, exp, log, lu_solve, matrix, mp, mpf, pi, tanh

mp.dps = 40


def remez(numerator, denominator, target, weight, low, high):
    """Fits sum(a_j numerator_j) / (sum(b_j denominator_j) + monic) to the target on [low, high].

    `denominator` lists its functions, the monic one last. `target(x, error)` may depend on the
    extreme error itself. Returns a, b and the extreme of (fit - target) / weight.
    """
    free = len(numerator) + len(denominator) - 1
    grid = [low + (high - low) * (mpf(i) + mpf(1) / 3) / 4000 for i in range(4000)]
    angles = [pi * (i + mpf(1) / 2) / (free + 1) for i in range(free + 1)]
    points = [(low + high) / 2 - (high - low) / 2 * cos(angle) for angle in angles]
    b, error = [mpf(0)] * (len(denominator) - 1) + [mpf(1)], mpf(0)
    for _ in range(50):
        for _ in range(50):  # The error multiplies b: solve linearly around the last of both.
            system, right = matrix(free + 1, free + 1), matrix(free + 1, 1)
            for row, x in enumerate(points):
                sign = (-1) ** row
                level = target(x, abs(error)) + sign * error * weight(x)
                values = [f(x) for f in denominator]
                for column, f in enumerate(numerator):
                    system[row, column] = f(x)
                for column, value in enumerate(values[:-1]):
                    system[row, len(numerator) + column] = -level * value
                scale = sum(c * value for c, value in zip(b, values))
                system[row, free] = -sign * weight(x) * scale
                right[row] = level * values[-1]
            *solution, step = lu_solve(system, right)
            b = solution[len(numerator):] + [mpf(1)]
            error += step
            if abs(step) <= abs(error) * mpf(10) ** -15:
                break
        a = solution[: len(numerator)]

        def deviation(x):
            above = sum(c * f(x) for c, f in zip(a, numerator))
            below = sum(c * f(x) for c, f in zip(b, denominator))
            return (above / below - target(x, abs(error))) / weight(x)

        deviations = [deviation(x) for x in grid]
        extremes = [0]
        for i, value in enumerate(deviations):
            if value * deviations[extremes[-1]] < 0:
                extremes.append(i)
            elif abs(value) > abs(deviations[extremes[-1]]):
                extremes[-1] = i
        while len(extremes) > free + 1:
            weaker_end = abs(deviations[extremes[0]]) > abs(deviations[extremes[-1]])
            extremes.pop(-1 if weaker_end else 0)
        assert len(extremes) == free + 1, "the error alternates too seldom: other degrees, please"
        points = [grid[i] for i in extremes]
        worst = max(abs(value) for value in deviations)
        if worst <= abs(error) * (1 + mpf(10) ** -3):
            return a, b[:-1], worst
    raise ArithmeticError("no convergence")


def f32(value):
    """The shortest decimal that names the f32 nearest to `value`."""
    nearest = struct.pack("<f", float(value))
    for digits in range(1, 18):
        text = f"{float(value):.{digits}g}"
        if struct.pack("<f", float(text)) == nearest:
            return repr(float(text))


def show(name, coefficients):
    print(f"{name} = [{', '.join(f32(c) for c in coefficients)}]")


def fit_tanh(limit):
    """An odd quotient of degrees 7 and 8, with relative error as weight.

    Near the limit tanh is 1 to within the fit's own error, and the quotient must not exceed 1. So
    the fit aims below by just that error where tanh is large, and at tanh itself where it is small.
    Beyond the limit the argument is held there; 7.9 is where what tanh still lacks to 1 equals the
    fit's greatest distance below tanh.
    """
    odd = [lambda x, j=j: x ** (2 * j + 1) for j in range(4)]
    even = [lambda x, j=j: x ** (2 * j) for j in range(5)]
    below = lambda x, error: tanh(x) - error * tanh(x) ** 3
    return remez(odd, even, below, tanh, mpf(0), limit)


def fit_exp():
    """e^r = 1 + r + r^2 (c_0 + ... + c_4 r^4) for |r| <= ln 2 / 2, with relative error as weight."""
    half = log(2) / 2
    powers = [lambda r, j=j: r ** (j + 2) for j in range(5)]
    one = [lambda r: mpf(1)]
    rest = lambda r, error: exp(r) - 1 - r
    return remez(powers, one, rest, exp, -half, half)


if __name__ == "__main__":
    p, q, error = fit_tanh(mpf("7.9"))
    show("TANH_NUMERATOR", p)
    show("TANH_DENOMINATOR", q)
    print(f"# within {float(2 * error):.1e} of tanh, before rounding\n")

    c, _, error = fit_exp()
    show("EXP_COEFFICIENTS", c)
    high = mpf(struct.unpack("<f", struct.pack("<f", 0.693359375))[0])
    show("LN_2", [high, log(2) - high])
    show("LOG2_E", [1 / log(2)])
    print(f"# within a relative {float(error):.1e} of exp, before rounding")
