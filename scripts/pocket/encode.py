"""Encodes a drawn data set once: encode.py --run DIR --data DIR --count N
Writes DIR/autoencoder-final.pt, whose latents have unit standard deviation after SD's fixed factor, and data/latents.npy."""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed

from autoencoder import LATENT_SCALE, Autoencoder
from export import fold_latent_scale
from training import run_workers

SIZE, BATCH = 128, 20


@torch.no_grad()
def encode(model: Autoencoder, pictures: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(127.5).sub_(1).permute(0, 3, 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        return model.moments(x)[0].float()


def main(args: argparse.Namespace, rank: int) -> None:
    model = Autoencoder().to(memory_format=torch.channels_last).eval()
    model.load_state_dict(torch.load(args.run / "autoencoder.pt")["average"])
    pictures = np.memmap(args.data / "pictures.u8", dtype=np.uint8, mode="r").reshape(-1, SIZE, SIZE, 3)
    raw = torch.cat([encode(model, pictures[i : i + BATCH]) for i in range(0, 400, BATCH)])
    fold_latent_scale(model, raw.std(dim=(0, 2, 3)), raw.mean(dim=(0, 2, 3)))
    count = min(args.count, len(pictures))
    if rank == 0:
        torch.save(model.state_dict(), args.run / "autoencoder-final.pt")
        np.lib.format.open_memmap(args.data / "latents.npy", "w+", np.float16, (count, 4, SIZE // 8, SIZE // 8)).flush()
    distributed.barrier()
    latents = np.load(args.data / "latents.npy", mmap_mode="r+")
    for i in range(rank * BATCH, count, args.workers * BATCH):
        latents[i : i + BATCH] = (encode(model, pictures[i : i + BATCH]) * LATENT_SCALE).numpy()[: count - i]
    latents.flush()
    distributed.barrier()
    if rank == 0:
        some = latents[:2000].astype(np.float32)
        print("mean", some.mean((0, 2, 3)), "deviation", some.std((0, 2, 3)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    run_workers(main, parser)
