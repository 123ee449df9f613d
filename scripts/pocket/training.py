"""Shared by the training scripts: options, workers, time budget, learning-rate curve, optimiser step, weight averaging
and checkpoints."""
import argparse
import copy
import csv
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import nn


def training_options(description: str, minutes: float, rate: float) -> argparse.ArgumentParser:
    """Makes a parser with the options that every training script takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder written by dataset.mjs")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--rate", type=float, default=rate, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def run_workers(main, parser: argparse.ArgumentParser) -> None:
    """Runs `main(args, rank)` in --workers processes with one thread each. They synchronise once per step, which on a
    busy machine is far faster than threads that wait for each other in every operation."""
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rank", type=int, help="set by the script itself for its workers")
    parser.add_argument("--store", type=Path, help="set by the script itself for its workers")
    args = parser.parse_args()
    if args.rank is None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, *sys.argv, "--store", f"{folder}/store", "--rank"]
            workers = [subprocess.Popen([*command, str(rank)]) for rank in range(args.workers)]
            if any(worker.wait() for worker in workers):
                sys.exit("a worker failed")
        return
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{args.store}", rank=args.rank, world_size=args.workers)
    main(args, args.rank)
    distributed.destroy_process_group()


def share_gradients(parameters: list[nn.Parameter], extra: list[float]) -> list[float]:
    """Averages gradients and the numbers in `extra` over the workers. Returns the averaged numbers."""
    flat = torch.cat([*(p.grad.reshape(-1) for p in parameters), torch.tensor(extra)])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    at = 0
    for p in parameters:
        p.grad.copy_(flat[at : at + p.numel()].view_as(p))
        at += p.numel()
    return flat[at:].tolist()


def update(optimiser: torch.optim.Optimizer, loss: torch.Tensor, numbers: list[float]) -> list[float]:
    """Takes one optimiser step on all workers' losses. Returns `numbers` averaged over the workers."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    optimiser.zero_grad()
    loss.backward()
    numbers = share_gradients(parameters, numbers)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    return numbers


class Budget:
    """Training time in minutes, kept across resumed runs. `progress` goes from 0 to 1."""

    def __init__(self, minutes: float, spent: float = 0.0):
        self.minutes, self.before, self.start = minutes, spent, time.monotonic()

    @property
    def spent(self) -> float:
        return self.before + (time.monotonic() - self.start) / 60

    @property
    def progress(self) -> float:
        return self.spent / self.minutes


def learning_rate(peak: float, step: int, progress: float, warm_up: int = 200) -> float:
    """Linear warm-up over steps, then a cosine over the time budget to a fiftieth of the peak."""
    cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * min(1.0, (step + 1) / warm_up) * cosine


class Average:
    """Exponential moving average of a module's weights, with a short memory early in training."""

    def __init__(self, module: nn.Module, decay: float):
        self.module, self.decay, self.updates = copy.deepcopy(module).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own, new = list(self.module.parameters()), list(module.parameters())
        torch._foreach_lerp_(own, [p.detach() for p in new], 1 - decay)


def resume(path: Path, keys: tuple[str, str], optimiser: torch.optim.Optimizer, average: Average, module: nn.Module):
    """Loads the checkpoint at `path` if there is one. `keys` name the module's weights and their average. Returns the
    steps and minutes already trained."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path)
    module.load_state_dict(state[keys[0]])
    if "optimiser" in state:  # restore.py writes none
        optimiser.load_state_dict(state["optimiser"])
    average.module.load_state_dict(state[keys[1]])
    average.updates = state["step"]
    return state["step"], state["spent"]


def save_atomically(state: dict, path: Path) -> None:
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def log_row(path: Path, row: dict) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
