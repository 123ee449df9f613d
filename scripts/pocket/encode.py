"""Encodes a drawn data set once: encode.py --run DIR --data DIR
Writes DIR/autoencoder-final.pt, whose latents have unit deviation after SD's fixed factor, and data/latents.npy."""
import argparse
from pathlib import Path

import numpy as np
import torch

from export import fold_latent_scale
from networks import LATENT_SCALE, Autoencoder

SIZE, BATCH = 128, 50


@torch.no_grad()
def encode(model: Autoencoder, pictures: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(127.5).sub_(1).permute(0, 3, 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        return model.moments(x)[0].float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = Autoencoder().to(memory_format=torch.channels_last).eval()
    model.load_state_dict(torch.load(args.run / "autoencoder.pt")["average"])
    pictures = np.memmap(args.data / "pictures.u8", dtype=np.uint8, mode="r").reshape(-1, SIZE, SIZE, 3)
    raw = torch.cat([encode(model, pictures[i : i + BATCH]) for i in range(0, 1000, BATCH)])
    fold_latent_scale(model, raw.std(dim=(0, 2, 3)), raw.mean(dim=(0, 2, 3)))
    torch.save(model.state_dict(), args.run / "autoencoder-final.pt")
    latents = np.lib.format.open_memmap(args.data / "latents.npy", "w+", np.float16, (len(pictures), 4, 16, 16))
    for i in range(0, len(pictures), BATCH):
        latents[i : i + BATCH] = (encode(model, pictures[i : i + BATCH]) * LATENT_SCALE).numpy()
    print("mean", latents[:2000].mean((0, 2, 3), np.float32), "deviation", latents[:2000].astype(np.float32).std((0, 2, 3)))


if __name__ == "__main__":
    main()
