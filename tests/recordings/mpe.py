"""Records episodes of the multi-particle environments, for tests/tests/env_parity_mpe.rs.

    pip install mpe2==1.1.1
    python tests/recordings/mpe.py

writes tests/recordings/data/mpe-<scenario>-<kind>-<part>.bin: one line of JSON that says what
follows, then numbers, little-endian, one episode after another. An episode is

    f64  positions [N, 2], landmarks [L, 2], goals [G] (which landmark, as agents 0.. know it)
    f32  observations [sum]

and then for each of its 25 steps

    f32  actions: discrete [N], the original's numbers; continuous [sum], each in [-1, 1],
         the original was given (x + 1) / 2
    f64  rewards [N], positions [N, 2], velocities [N, 2]
    f32  observations [sum]

Actions are uniform and seeded; so are the episodes.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
from mpe2 import simple_reference_v3, simple_speaker_listener_v4, simple_spread_v3

DATA = pathlib.Path(__file__).parent / "data"
SCENARIOS = {
    "spread": (simple_spread_v3, 2),
    "speaker-listener": (simple_speaker_listener_v4, 1),
    "reference": (simple_reference_v3, 2),
}
EPISODES = 40
CYCLES = 25


def record(name, module, parts, continuous):
    kind = "continuous" if continuous else "discrete"
    env = module.parallel_env(continuous_actions=continuous)
    env.reset(seed=0)
    world = env.unwrapped.world
    agents = list(env.possible_agents)
    draw = np.random.default_rng(20_240_901)
    header = {
        "original": f"mpe2 {importlib.metadata.version('mpe2')} {env.unwrapped.metadata['name']}",
        "numpy": np.__version__,
        "continuous": continuous,
        "episodes": EPISODES // parts,
        "steps": CYCLES,
        "landmarks": len(world.landmarks),
        "goals": sum(getattr(a, "_goal_b", None) is not None for a in world.agents),
        "observations": [env.observation_space(a).shape[0] for a in agents],
        "actions": [
            env.action_space(a).shape[0] if continuous else int(env.action_space(a).n)
            for a in agents
        ],
    }

    def seen(observations):
        return np.concatenate([observations[a] for a in agents]).astype("<f4").tobytes()

    def f64(values):
        return np.asarray(values, dtype="<f8").tobytes()

    for part in range(parts):
        out = bytearray(json.dumps(header).encode() + b"\n")
        for episode in range(header["episodes"]):
            observations, _ = env.reset(seed=1 + part * header["episodes"] + episode)
            # The particles the original drew are kept, but for every other episode of spread,
            # where they are drawn together, so that contacts are many.
            if name == "spread" and episode % 2:
                for agent in world.agents:
                    agent.state.p_pos = agent.state.p_pos * 0.3
                observations = {a: env.unwrapped.observe(a) for a in agents}
            goals = [
                next(i for i, mark in enumerate(world.landmarks) if mark is a._goal_b)
                for a in world.agents
                if getattr(a, "_goal_b", None) is not None
            ]
            out += f64([a.state.p_pos for a in world.agents])
            out += f64([mark.state.p_pos for mark in world.landmarks])
            out += f64(goals) + seen(observations)
            for step in range(CYCLES):
                if continuous:
                    own = [
                        draw.uniform(-1, 1, size).astype(np.float32) for size in header["actions"]
                    ]
                    theirs = [np.float32(0.5) * (x + np.float32(1)) for x in own]
                    out += np.concatenate(own).astype("<f4").tobytes()
                else:
                    theirs = [int(draw.integers(size)) for size in header["actions"]]
                    out += np.asarray(theirs, dtype="<f4").tobytes()
                observations, rewards, ends, cuts, _ = env.step(dict(zip(agents, theirs)))
                assert not any(ends.values())
                assert all(cut == (step == CYCLES - 1) for cut in cuts.values())
                out += f64([rewards[a] for a in agents])
                out += f64([a.state.p_pos for a in world.agents])
                out += f64([a.state.p_vel for a in world.agents])
                out += seen(observations)
        path = DATA / f"mpe-{name}-{kind}-{part}.bin"
        path.write_bytes(out)
        print(path.name, len(out))


def main():
    DATA.mkdir(exist_ok=True)
    for name, (module, parts) in SCENARIOS.items():
        for continuous in (False, True):
            record(name, module, parts, continuous)


if __name__ == "__main__":
    main()
