"""What a team earns in `lbf-15x15-3p-5f` that gathers every food which takes no more than so many players, exactly.

    python docs/derivations/foraging.py

Levels are drawn as lbforaging 2.0.0 draws them: of a player 1 or 2, of a food from 1 to the sum of the three players', all alike and
independent. The return is the share of all foods' levels that is gathered.
"""

from itertools import product

PLAYERS, FOODS = 3, 5

earned = [0.0] * PLAYERS
takes = [0.0] * PLAYERS
for players in product((1, 2), repeat=PLAYERS):
    strongest = sorted(players, reverse=True)
    reach = [sum(strongest[: count + 1]) for count in range(PLAYERS)]
    levels = range(1, sum(players) + 1)
    for count in range(PLAYERS):
        below = reach[count - 1] if count else 0
        takes[count] += sum(below < level <= reach[count] for level in levels) / len(levels)
    for foods in product(levels, repeat=FOODS):
        for count in range(PLAYERS):
            gathered = sum(level for level in foods if level <= reach[count])
            earned[count] += gathered / sum(foods) / len(levels) ** FOODS

for count in range(PLAYERS):
    share, taken = (100 * takes[count] / 2**PLAYERS, earned[count] / 2**PLAYERS)
    print(f"{count + 1} players: {share:.1f} % of foods take as many; all foods that take no more: {taken:.3f}")
