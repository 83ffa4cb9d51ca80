"""PyTorch on the networks of `trainer/benches/training/networks.rs`: the same shapes, batches and way of taking time.

Prints a JSON object a line. One thread, by processor time; eager mode; Adam as one fused operation, its fastest.
"""

import json
import sys
import time

import torch
from torch import nn

SECONDS = 0.8
STRETCH = 0.005
STEPS = 32


class Recurrent(nn.Module):
    """32 inputs, 64 gated recurrent units, 6 outputs."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(32, 64)
        self.head = nn.Linear(64, 6)

    def forward(self, x):
        return self.head(self.gru(x)[0])


def perceptron():
    return nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 6))


def rate(count, once):
    """Things a second: the best of many short stretches."""
    for _ in range(3):
        once()
    best, start = 0.0, time.process_time()
    while time.process_time() - start < SECONDS:
        stretch, calls = time.process_time(), 0
        while calls == 0 or time.process_time() - stretch < STRETCH:
            once()
            calls += 1
        best = max(best, calls * count / (time.process_time() - stretch))
    return best


def measure(name, batch):
    if name == "mlp":
        model, samples = perceptron(), batch
        x = torch.randn(samples, 32)
    else:
        sequences = -(-batch // STEPS)
        rows = batch // sequences
        model, samples = Recurrent(), rows * sequences
        x = torch.randn(rows, sequences, 32)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def forward():
        with torch.inference_mode():
            model(x)

    def train():
        adam.zero_grad(set_to_none=True)
        model(x).square().mean().backward()
        adam.step()

    for kind, once in (("forward", forward), ("train", train)):
        line = {"network": name, "pass": kind, "batch": batch, "per_second": rate(samples, once)}
        print(json.dumps(line), flush=True)


torch.set_num_threads(1)
torch.set_num_interop_threads(1)
torch.manual_seed(0)
print(json.dumps({"system": f"torch {torch.__version__}"}), flush=True)
for network in ("mlp", "gru"):
    for size in map(int, sys.argv[1].split(",")):
        measure(network, size)
