"""The Python originals of three environments under random actions that were drawn before; agent steps a second
of processor time.

`environments.py lbf|rware|mpe` prints one JSON object.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np

SECONDS = 4.0
STRETCH = 0.25
DRAWN = 1024

warnings.filterwarnings("ignore")


def gym_task(package, name):
    import gymnasium

    __import__(package)
    environment = gymnasium.make(name, disable_env_checker=True).unwrapped
    agents = len(environment.action_space)
    sizes = [space.n for space in environment.action_space]
    draws = np.random.default_rng(1)
    actions = [[int(draws.integers(size)) for size in sizes] for _ in range(DRAWN)]

    # Where the registered limit of steps is a wrapper's, it is kept here.
    limit = gymnasium.spec(name).max_episode_steps or 10**9
    played = 0

    def step(joint):
        nonlocal played
        played += 1
        _, _, done, truncated, _ = environment.step(joint)
        if done or truncated or played >= limit:
            environment.reset()
            played = 0

    environment.reset(seed=1)
    return agents, actions, step


def particle_task():
    from mpe2 import simple_spread_v3

    environment = simple_spread_v3.parallel_env(N=3, max_cycles=25)
    environment.reset(seed=1)
    names = environment.possible_agents
    draws = np.random.default_rng(1)
    actions = [{name: int(draws.integers(5)) for name in names} for _ in range(DRAWN)]

    def step(joint):
        environment.step(joint)
        if not environment.agents:
            environment.reset()

    return len(names), actions, step


def measure(agents, actions, step):
    best, index, start = 0.0, 0, time.process_time()
    while time.process_time() - start < SECONDS:
        stretch, steps = time.process_time(), 0
        while time.process_time() - stretch < STRETCH:
            step(actions[index % DRAWN])
            index += 1
            steps += 1
        best = max(best, steps * agents / (time.process_time() - stretch))
    return best


TASKS = {
    "lbf": ("lbforaging", lambda: gym_task("lbforaging", "Foraging-8x8-2p-2f-coop-v3")),
    "rware": ("rware", lambda: gym_task("rware", "rware-tiny-4ag-v2")),
    "mpe": ("mpe2", particle_task),
}
package, make = TASKS[sys.argv[1]]
agents, actions, step = make()
line = {
    "system": f"{package} {version(package)}",
    "task": sys.argv[1],
    "agents": agents,
    "agent_steps_per_second": measure(agents, actions, step),
}
print(json.dumps(line))
