"""MAPPO on JaxMARL's MPE_simple_spread_v3, as `trainer/benches/training/learning.rs` trains ours: one policy for all agents, told
whom it acts for, beside one critic of everything that is seen; PPO with several epochs of minibatches over rollouts.

The whole update is one compiled function, and several updates at a time are one call, so that Python costs nothing. Prints a
JSON object a seed. Seconds are of processor time, those of compiling counted apart.
"""

import argparse
import json
import resource
import time
from importlib.metadata import version

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxmarl
import optax

WINDOW = 10


def dense(width, scale):
    return nn.Dense(width, kernel_init=nn.initializers.orthogonal(scale))


class Perceptron(nn.Module):
    hidden: int
    outputs: int
    gain: float

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.tanh(dense(self.hidden, 2**0.5)(x))
        return dense(self.outputs, self.gain)(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--environments", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--rollout", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--norm", type=float, default=0.5)
    parser.add_argument("--threshold", type=float)
    asked = parser.parse_args()
    count, time_rows = asked.environments, asked.rollout
    epochs, minibatches, updates = 4, 4, asked.steps // (count * time_rows)

    environment = jaxmarl.make("MPE_simple_spread_v3")
    agents = environment.agents
    team = len(agents)
    actions = environment.action_space(agents[0]).n
    policy, critic = Perceptron(asked.hidden, actions, 0.01), Perceptron(asked.hidden, 1, 1.0)
    reset = jax.vmap(environment.reset)
    step = jax.vmap(environment.step)

    def side_by_side(observations):
        return jnp.stack([observations[agent] for agent in agents], axis=-2)

    def own(seen):
        """What each agent's policy is shown: its observation and whom it acts for."""
        names = jnp.broadcast_to(jnp.eye(team), (*seen.shape[:-1], team))
        return jnp.concatenate([seen, names], axis=-1)

    def value(parameters, seen):
        return critic.apply(parameters, seen.reshape(*seen.shape[:-2], -1))[..., 0]

    falling = optax.linear_schedule(asked.rate, 0.0, updates * epochs * minibatches)
    optimiser = optax.chain(optax.clip_by_global_norm(asked.norm), optax.adam(falling, eps=1e-5))

    def begin(seed):
        key, of_policy, of_critic, of_reset = jax.random.split(jax.random.PRNGKey(seed), 4)
        observations, state = reset(jax.random.split(of_reset, count))
        seen = side_by_side(observations)
        parameters = {
            "policy": policy.init(of_policy, own(seen)),
            "critic": critic.init(of_critic, seen.reshape(count, -1)),
        }
        return parameters, optimiser.init(parameters), state, seen, jnp.zeros(count), key

    def act(carry, _):
        parameters, state, seen, sums, key = carry
        key, of_action, of_step = jax.random.split(key, 3)
        logits = policy.apply(parameters["policy"], own(seen))
        taken = jax.random.categorical(of_action, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), taken[..., None], -1)[..., 0]
        joint = {agent: taken[:, index] for index, agent in enumerate(agents)}
        observations, state, rewards, ended, _ = step(jax.random.split(of_step, count), state, joint)
        # The team's reward is the sum of its agents'.
        reward = sum(rewards[agent] for agent in agents)
        ended = ended["__all__"]
        sums = sums + reward
        row = {
            "seen": seen,
            "taken": taken,
            "log_prob": log_prob,
            "value": value(parameters["critic"], seen),
            "reward": reward,
            "ended": ended,
            "return": jnp.where(ended, sums, 0.0),
        }
        sums = jnp.where(ended, 0.0, sums)
        return (parameters, state, side_by_side(observations), sums, key), row

    def loss(parameters, part):
        logits = jax.nn.log_softmax(policy.apply(parameters["policy"], own(part["seen"])))
        log_prob = jnp.take_along_axis(logits, part["taken"][..., None], -1)[..., 0]
        ratio = jnp.exp(log_prob - part["log_prob"])
        advantage = part["advantage"]
        advantage = ((advantage - advantage.mean()) / (advantage.std() + 1e-8))[:, None]
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage).mean()
        entropy = -(jnp.exp(logits) * logits).sum(-1).mean()
        error = jnp.square(value(parameters["critic"], part["seen"]) - part["target"]).mean()
        return -gain - 0.01 * entropy + 0.5 * 0.5 * error

    def learn(carry, part):
        parameters, moments = carry
        gradients = jax.grad(loss)(parameters, part)
        change, moments = optimiser.update(gradients, moments)
        return (optax.apply_updates(parameters, change), moments), None

    def update(carry, _):
        parameters, moments, state, seen, sums, key = carry
        (_, state, seen, sums, key), rows = jax.lax.scan(
            act, (parameters, state, seen, sums, key), None, time_rows
        )

        def back(carry, row):
            later, following = carry
            going = 1.0 - row["ended"]
            error = row["reward"] + 0.99 * following * going - row["value"]
            advantage = error + 0.99 * 0.95 * going * later
            return (advantage, row["value"]), advantage

        last = value(parameters["critic"], seen)
        _, advantage = jax.lax.scan(back, (jnp.zeros(count), last), rows, reverse=True)
        batch = {name: rows[name] for name in ("seen", "taken", "log_prob")}
        batch |= {"advantage": advantage, "target": advantage + rows["value"]}
        batch = jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:]), batch)

        def epoch(carry, key):
            order = jax.random.permutation(key, count * time_rows)
            parts = jax.tree.map(
                lambda values: values[order].reshape(minibatches, -1, *values.shape[1:]), batch
            )
            return jax.lax.scan(learn, carry, parts)

        key, of_epochs = jax.random.split(key)
        (parameters, moments), _ = jax.lax.scan(
            epoch, (parameters, moments), jax.random.split(of_epochs, epochs)
        )
        mean = rows["return"].sum() / jnp.maximum(rows["ended"].sum(), 1)
        return (parameters, moments, state, seen, sums, key), mean

    together = min(WINDOW, updates)
    begun = time.process_time()
    several = jax.jit(lambda carry: jax.lax.scan(update, carry, None, together))
    compiled = several.lower(begin(0)).compile()
    compiling = time.process_time() - begun

    for seed in map(int, asked.seeds.split(",")):
        carry, steps, returns, reached = begin(seed), 0, [], None
        begun, wall = time.process_time(), time.perf_counter()
        while steps + together * count * time_rows <= asked.steps and reached is None:
            carry, means = compiled(carry)
            returns += [float(mean) for mean in means]
            steps += together * count * time_rows
            lately = sum(returns[-WINDOW:]) / WINDOW
            if asked.threshold is not None and lately >= asked.threshold:
                reached = {"env_steps": steps, "seconds": time.process_time() - begun}
        seconds = time.process_time() - begun
        line = {
            "system": f"jaxmarl {version('jaxmarl')}, jax {version('jax')}",
            "seed": seed,
            "environments": count,
            "hidden": asked.hidden,
            "env_steps": steps,
            "seconds": seconds,
            "wall_seconds": time.perf_counter() - wall,
            "seconds_compiling": compiling,
            "env_steps_per_second": steps / seconds,
            "first_return": returns[0],
            "last_return": sum(returns[-WINDOW:]) / len(returns[-WINDOW:]),
            "threshold": asked.threshold,
            "reached": reached,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(line), flush=True)


main()
