"""How far the runtime's normal numbers are from normal.

    python docs/derivations/normal.py

The sum of twelve uniform numbers has a known distribution function (Irwin and Hall), and Teichroew's
polynomial rises with it: so the distribution function of what the polynomial makes of the sum is
known too, without a single draw.
"""

from fractions import Fraction
from math import comb, erfc, factorial, floor, sqrt

COEFFICIENTS = [3.949846, 0.25240877, 0.076542914, 0.008355968, 0.029899776]


def below(s):
    """The probability that twelve uniform numbers add up to at most s."""
    terms = ((-1) ** k * comb(12, k) * (s - k) ** 12 for k in range(floor(s) + 1))
    return float(sum(terms) / Fraction(factorial(12)))


worst = 0.0
print("     x   probability below   Phi(x)      ratio")
for step in range(1, 601):
    s = Fraction(6 * step, 600)
    r = float(s - 6) / 4
    x = sum(c * r ** (2 * power + 1) for power, c in enumerate(COEFFICIENTS))
    probability, exact = below(s), erfc(-x / sqrt(2)) / 2
    worst = max(worst, abs(probability - exact))
    if step % 40 == 0:
        print(f"{x:7.3f}   {probability:.4e}          {exact:.4e}  {probability / exact:.4f}")
print(f"greatest distance of the distribution functions: {worst:.1e}")
