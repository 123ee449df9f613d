"""Trains pocket's autoencoder on drawn pictures: train_autoencoder.py --data DIR --out DIR --minutes M
Starts on small crops and ends on whole pictures. Resumes from DIR/autoencoder.pt."""
import argparse
from pathlib import Path

import numpy as np
import torch

from autoencoder import Autoencoder
from training import (
    Average,
    Budget,
    learning_rate,
    log_row,
    resume,
    run_workers,
    save_atomically,
    training_options,
    update,
)

SIZE = 128
PHASES = ((0.45, 64, 8), (1.0, 128, 4))  # (up to this share of the time, crop size, batch over all workers)
KL_WEIGHT = 4e-4
NOISE = 0.1  # deviation, on top of the posterior's own: the denoiser's latents are not exact either
OBJECT_WEIGHT = (2.0, 15.0)  # limits for the weight of object pixels; the fewer there are, the more each counts


def batch_of(
    pictures: np.ndarray, random: np.random.Generator, size: int, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns crops, mostly of places with something to see, as [count, 3, size, size], channels last, and the weights
    of their pixels, [count, 1, size, size], with mean 1."""
    crops, weights = [], []
    while len(crops) < count:
        picture = pictures[random.integers(len(pictures))]
        y, x = random.integers(0, (SIZE - size) // 4 + 1, size=2) * 4
        crop = picture[y : y + size, x : x + size]
        if size == SIZE or random.random() < 0.15 or crop[::2, ::2].std(axis=(0, 1)).max() > 12:
            crops.append(crop)
            objects = np.abs(crop.astype(np.int16) - picture[0, 0]).max(axis=2) > 8  # corners are background
            weights.append(np.where(objects, np.clip(0.5 / max(objects.mean(), 1e-3), *OBJECT_WEIGHT), 1))
    batch = torch.from_numpy(np.stack(crops)).float().div_(127.5).sub_(1)
    weight = torch.from_numpy(np.stack(weights)).float()[:, None]
    return batch.permute(0, 3, 1, 2), weight / weight.mean()


def picture_losses(y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Squared error, absolute error, and the absolute error of differences between neighbouring pixels."""
    d = y - x
    across, down = (d[..., 1:] - d[..., :-1]).abs(), (d[..., 1:, :] - d[..., :-1, :]).abs()
    edge = (weight[..., 1:] * across).mean() + (weight[..., 1:, :] * down).mean()
    return (weight * d.square()).mean(), (weight * d.abs()).mean(), edge


def main(args: argparse.Namespace, rank: int) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    pictures = np.memmap(args.data / "pictures.u8", dtype=np.uint8, mode="r").reshape(-1, SIZE, SIZE, 3)
    model = Autoencoder().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-4, foreach=True)
    average = Average(model, 0.998)
    checkpoint = args.out / "autoencoder.pt"
    step, spent = resume(checkpoint, ("model", "average"), optimiser, average, model)
    random = np.random.default_rng([args.seed, step, rank])
    torch.manual_seed(args.seed + rank)
    budget, progress, saved, sums = Budget(args.minutes, spent), spent / args.minutes, spent, np.zeros(4)

    while progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(args.rate, step, progress)
        size, count = next((size, count) for end, size, count in PHASES if progress <= end)
        x, weight = batch_of(pictures, random, size, max(1, round(count / args.workers)))
        with torch.autocast("cpu", torch.bfloat16):
            mean, logvar = model.moments(x)
            mean, logvar = mean.float(), logvar.float()
            y = model.decode(mean + (torch.exp(0.5 * logvar) + NOISE) * torch.randn_like(mean)).float()
        square, pixel, edge = picture_losses(y, x, weight)
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss = square + pixel + 0.5 * edge + KL_WEIGHT * divergence
        *losses, progress = update(optimiser, loss, [pixel.item(), edge.item(), divergence.item(), budget.progress])
        step, sums = step + 1, sums + [*losses, 1]
        if rank > 0:
            continue
        average.update(model)
        if step % 100 == 0:
            values = dict(zip(("pixel", "edge", "kl"), (f"{v:.5f}" for v in sums[:3] / sums[3])))
            log_row(args.out / "autoencoder.csv", {"step": step, "minutes": f"{budget.spent:.2f}", **values})
            sums = np.zeros(4)
        if budget.spent - saved > 2 or progress >= 1:
            saved = budget.spent
            state = {"model": model.state_dict(), "average": average.module.state_dict()}
            save_atomically({**state, "optimiser": optimiser.state_dict(), "step": step, "spent": saved}, checkpoint)


if __name__ == "__main__":
    parser = training_options(__doc__, minutes=25, rate=1.5e-3)
    parser.add_argument("--out", type=Path, required=True)
    run_workers(main, parser)
