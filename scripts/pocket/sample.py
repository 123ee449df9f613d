"""Draws captions with the weights of a training run: sample.py --run DIR --captions heldout.json --out FILE.raw
The pictures (128 x 128 RGB bytes, one after another) are for validate.mjs and sheet.mjs."""
import argparse
import json
from pathlib import Path

import numpy as np
import torch

from autoencoder import LATENT_SCALE, Autoencoder
from captions import encode, load_tokenizer
from diffusion import sample
from train_denoiser import load_text
from unet import Unet


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--captions", type=Path, default=Path(__file__).parent / "heldout.json")
    parser.add_argument("--every", type=int, default=1, help="take every n-th caption")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4)
    parser.add_argument("--schedule", default="karras")
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    entries = json.loads(args.captions.read_text())[:: args.every]
    text, vocabulary = load_text(args.run / "text.pt")
    unet = Unet().to(memory_format=torch.channels_last).eval()
    unet.load_state_dict(torch.load(args.run / "denoiser.pt", mmap=True)["average_unet"])
    autoencoder = Autoencoder().to(memory_format=torch.channels_last).eval()
    autoencoder.load_state_dict(torch.load(args.run / "autoencoder-final.pt"))
    tokenizer = load_tokenizer(args.tokenizer)
    ids = vocabulary.table[encode(tokenizer, [entry["caption"] for entry in entries] + [""])]
    contexts = text(torch.from_numpy(ids))
    options = {"steps": args.steps, "guidance": args.guidance, "name": args.schedule, "sampler": args.sampler}
    with args.out.open("wb") as file:
        for i in range(0, len(entries), 20):
            context = contexts[:-1][i : i + 20]
            latents = sample(unet, context, contexts[-1:], torch.randn(len(context), 4, 16, 16), **options)
            with torch.autocast("cpu", torch.bfloat16):
                images = autoencoder.decode((latents / LATENT_SCALE).contiguous(memory_format=torch.channels_last))
            pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
            file.write(pixels.numpy().astype(np.uint8).tobytes())
    rows = [json.dumps(entry) for entry in entries]
    args.out.with_suffix(".jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
