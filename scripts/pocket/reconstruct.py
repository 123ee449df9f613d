"""Passes drawn pictures through the autoencoder: reconstruct.py --run DIR --data DIR --count N --out FILE.raw"""
import argparse
from pathlib import Path

import numpy as np
import torch

from autoencoder import Autoencoder


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = Autoencoder().to(memory_format=torch.channels_last).eval()
    final = args.run / "autoencoder-final.pt"
    model.load_state_dict(torch.load(final) if final.exists() else torch.load(args.run / "autoencoder.pt")["average"])
    pictures = np.memmap(args.data / "pictures.u8", dtype=np.uint8, mode="r").reshape(-1, 128, 128, 3)
    with args.out.open("wb") as file:
        for i in range(0, args.count, 10):
            x = torch.from_numpy(pictures[i : min(i + 10, args.count)].copy()).float().div_(127.5).sub_(1).permute(0, 3, 1, 2)
            with torch.autocast("cpu", torch.bfloat16):
                y = model.decode(model.moments(x)[0]).float()
            file.write(((y + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy().astype(np.uint8).tobytes())


if __name__ == "__main__":
    main()
