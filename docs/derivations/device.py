"""Fits the linear model of a step's cost by which `consort inspect` expects instructions and cycles.

    cargo xtask bench device --json | tail -1 > bench.json && python docs/derivations/device.py bench.json

For each emulated board, the instructions of a step are fitted as

    layer L + panel P + multiply_add M + activation A

with no coefficient negative, to the least relative squares over the policies that the bench counts. L is the number of
layers; P the panels of recurrent units, by the image format's cuts of 4, 2 and 1; M the multiply-adds; A the evaluations of
tanh: one an output that goes through tanh, sigmoid or silu, and three a recurrent unit.

Those of an integer image are fitted as

    layer L + input I + row R + word W + pair P + activation G

with L the number of layers, the quantising one among them; I the inputs that it quantises; R the rows of weights, padded as docs/image.md pads them; W the
words of weights, of two rows and two inputs each; P the pairs of recurrent units; and G the evaluations of tanh in f32, one a
dimension of a gaussian head, each as dear as in the fit above.

Cycles are fitted to the traced steps as a multiple of instructions, plus, of f32 where the core has a floating-point unit,
multiples of M and of A. Prints the tables of trainer/src/cli/cost.rs and every residual.
"""

import itertools
import json
import sys

# L, P, M and A of the policies in the bench, from the shapes in xtask/src/reference.rs and in models/.
SHAPES = {
    "assurance/agent-0": (2, 0, 96, 32),
    "climbing-private/agent-0": (2, 0, 160, 32),
    "reference-dense-13-64-64-4/agent-0": (3, 0, 5184, 128),
    "reference-gru-13-32-4/agent-0": (2, 8, 4448, 3 * 32),
    "reference-gaussian/agent-0": (4, 3 + 2, 806, 16 + 3 * 12 + 3),
    "reference-masked/agent-0": (4, 2, 329, 7 + 3 * 6),
    "reference-sine-1-16-16-1/agent-0": (3, 0, 288, 0),
}

# Of the integer policies their inputs, the outputs of dense layers and (as lists) the units of recurrent ones, and the
# dimensions of a gaussian head.
INTEGER_SHAPES = {
    "climbing-private-i8/agent-0": (2, (32, 3), 0),
    "reference-dense-13-64-64-4-i8/agent-0": (13, (64, 64, 4), 0),
    "reference-gru-13-32-4-i8/agent-0": (13, ([32], 4), 0),
    "reference-gaussian-i8/agent-0": (8, (16, [7], [5], 3), 3),
    "reference-masked-i8/agent-0": (5, (7, [6], 5, 6), 0),
    "reference-multi-discrete-i8/agent-0": (6, (9, [5], 8), 0),
    "reference-sine-1-16-16-1-i8/agent-0": (1, (16, 16, 1), 0),
    "reference-dense-24-32-24-6-i8/agent-0": (24, (32, 24, 6), 0),
}


def integer_terms(inputs, layers, head):
    """L, I, R, W, P and G of an integer policy."""
    rows = words = pairs = 0
    lanes = (inputs + 1) // 2
    for layer in layers:
        if isinstance(layer, list):
            units = (layer[0] + 1) // 2
            # Of a pair of units four rows over inputs and state, two over either.
            words += units * (2 * (lanes + units) + lanes + units)
            rows += 8 * units
            pairs += units
            lanes = units
        else:
            own = (layer + 1) // 2
            words += own * lanes
            rows += 2 * own
            lanes = own
    return (1 + len(layers), inputs, rows, words, pairs, head)


def solve(rows, targets):
    """Least squares by the normal equations; none where they are singular."""
    n = len(rows[0])
    a = [[sum(r[i] * r[j] for r in rows) for j in range(n)] for i in range(n)]
    b = [sum(r[i] * t for r, t in zip(rows, targets)) for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(a[k][i]))
        if abs(a[pivot][i]) < 1e-12:
            return None
        a[i], a[pivot], b[i], b[pivot] = a[pivot], a[i], b[pivot], b[i]
        for k in range(i + 1, n):
            factor = a[k][i] / a[i][i]
            a[k] = [x - factor * y for x, y in zip(a[k], a[i])]
            b[k] -= factor * b[i]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (b[i] - sum(a[i][j] * x[j] for j in range(i + 1, n))) / a[i][i]
    return x


def fit(features, targets):
    """Relative least squares with no negative coefficient: the best of all subsets of columns."""
    rows = [[x / t for x in row] for row, t in zip(features, targets)]
    best = None
    columns = range(len(rows[0]))
    for size in range(1, len(rows[0]) + 1):
        for subset in itertools.combinations(columns, size):
            x = solve([[row[c] for c in subset] for row in rows], [1.0] * len(rows))
            if x is None or min(x) < 0:
                continue
            whole = [0.0] * len(rows[0])
            for c, value in zip(subset, x):
                whole[c] = value
            error = sum((1 - sum(w * v for w, v in zip(whole, row))) ** 2 for row in rows)
            if best is None or error < best[0]:
                best = (error, whole)
    return best[1]


def show(name, features, targets, coefficients):
    for row, target in zip(features, targets):
        found = sum(c * x for c, x in zip(coefficients, row))
        print(f"    {name}: {found:9.0f} for {target} ({100 * (found / target - 1):+.1f} %)")


def counted_of(bench, board, shapes):
    counted = [a for a in bench["agents"] if a["board"] == board and a["agent"] in shapes]
    return counted, [(a["instructions_min"] + a["instructions_max"]) / 2 for a in counted]


def main():
    with open(sys.argv[1]) as file:
        bench = json.load(file)
    for board in dict.fromkeys(agent["board"] for agent in bench["agents"]):
        counted, targets = counted_of(bench, board, SHAPES)
        features = [SHAPES[a["agent"]] for a in counted]
        instructions = fit(features, targets)
        print(board, "layer, panel, multiply_add, activation:", [round(c, 2) for c in instructions])
        show("instructions", features, targets, instructions)
        counted, targets = counted_of(bench, board, INTEGER_SHAPES)
        terms = [integer_terms(*INTEGER_SHAPES[a["agent"]]) for a in counted]
        heads = [instructions[3] * row[5] for row in terms]
        features = [row[:5] for row in terms]
        integer = fit(features, [t - head for t, head in zip(targets, heads)])
        print(board, "integer: layer, input, row, word, pair:", [round(c, 2) for c in integer])
        show("instructions", [(*f, h) for f, h in zip(features, heads)], targets, (*integer, 1))
        traced = [t for t in bench["cycles"] if t["board"] == board and t["policy"] in SHAPES]
        if not traced:
            continue
        float_unit = len(traced) > 2
        features = [(t["instructions"], *SHAPES[t["policy"]][2:]) for t in traced]
        features = features if float_unit else [row[:1] for row in features]
        targets = [t["cycles"] for t in traced]
        cycles = fit(features, targets)
        print(board, "cycles: instructions, multiply_add, activation:", [round(c, 3) for c in cycles])
        show("cycles", features, targets, cycles)
        traced = [t for t in bench["cycles"] if t["board"] == board and t["policy"] in INTEGER_SHAPES]
        if not traced:
            continue
        features = [(t["instructions"],) for t in traced]
        targets = [t["cycles"] for t in traced]
        cycles = fit(features, targets)
        print(board, "integer cycles: instructions:", [round(c, 3) for c in cycles])
        show("cycles", features, targets, cycles)


main()
