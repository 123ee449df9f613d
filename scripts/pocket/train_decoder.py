"""Trains only the decoder, on whole pictures, once the encoder is final: train_decoder.py --data DIR --run DIR
--minutes M. Latents get a little noise, since the denoiser's are not exact either. Changes DIR/autoencoder-final.pt."""
import argparse
from pathlib import Path

import numpy as np
import torch

from autoencoder import LATENT_SCALE, Autoencoder
from train_autoencoder import batch_of, picture_losses
from training import Average, Budget, learning_rate, log_row, run_workers, save_atomically, training_options, update

SIZE, BATCH = 128, 2  # pictures per worker
NOISE = 0.08  # deviation; the latents' own is 1


def main(args: argparse.Namespace, rank: int) -> None:
    pictures = np.memmap(args.data / "pictures.u8", dtype=np.uint8, mode="r").reshape(-1, SIZE, SIZE, 3)
    model = Autoencoder().to(memory_format=torch.channels_last)
    model.load_state_dict(torch.load(args.run / "autoencoder-final.pt"))
    parameters = [*model.post_quant_conv.parameters(), *model.decoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-4, foreach=True)
    average = Average(model, 0.99)
    random = np.random.default_rng([args.seed, rank, 3])
    torch.manual_seed(args.seed + rank)
    budget, progress, step, sums, saved = Budget(args.minutes), 0.0, 0, np.zeros(3), 0.0
    while progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(args.rate, step, progress, warm_up=30)
        x, weight = batch_of(pictures, random, SIZE, BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                z = model.moments(x)[0].float()
            y = model.decode(z + NOISE / LATENT_SCALE * torch.randn_like(z)).float()
        square, pixel, edge = picture_losses(y, x, weight)
        numbers = [pixel.item(), edge.item(), budget.progress]
        *losses, progress = update(optimiser, square + pixel + 0.5 * edge, numbers)
        step, sums = step + 1, sums + [*losses, 1]
        if rank > 0:
            continue
        average.update(model)
        if step % 50 == 0:
            values = {"pixel": f"{sums[0] / sums[2]:.5f}", "edge": f"{sums[1] / sums[2]:.5f}"}
            log_row(args.run / "decoder.csv", {"step": step, "minutes": f"{budget.spent:.2f}", **values})
            sums = np.zeros(3)
        if budget.spent - saved > 2 or progress >= 1:
            saved = budget.spent
            save_atomically(average.module.state_dict(), args.run / "autoencoder-final.pt")


if __name__ == "__main__":
    parser = training_options(__doc__, minutes=12, rate=6e-4)
    parser.add_argument("--run", type=Path, required=True)
    run_workers(main, parser)
