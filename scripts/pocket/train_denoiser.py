"""Trains pocket's UNet on encoded pictures: train_denoiser.py --data DIR --run DIR --minutes M
Needs DIR/autoencoder-final.pt and latents.npy (encode.py) and DIR/text.pt (train_text.py). The text encoder is frozen.
Resumes from DIR/denoiser.pt; losses go to DIR/denoiser.csv."""
import argparse
from pathlib import Path

import numpy as np
import torch

from captions import CompactVocabulary, encode, load_tokenizer, read_captions
from diffusion import ALPHA_BAR
from text_encoder import TextConfig, TextEncoder
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
from train_text import insert_unknown
from unet import Unet

BATCH = 48  # over all workers
EMPTY_PROMPTS = 0.1  # for classifier-free guidance
PAIRS = 0.8  # share of pictures with two objects, which the model learns last


def loss_weights() -> torch.Tensor:
    """Min-SNR (gamma 5) with more weight on strong noise, where layout and colours are decided. Mean 1."""
    ratio = ALPHA_BAR / (1 - ALPHA_BAR)
    weights = ratio.clamp(max=5) / ratio * (1 + 1 / ratio).clamp(max=6)
    return weights / weights.mean()


def load_text(path: Path) -> tuple[TextEncoder, CompactVocabulary]:
    state = torch.load(path)
    model = TextEncoder(TextConfig(vocabulary=len(state["vocabulary"])))
    model.load_state_dict(state["model"])
    return model.eval().requires_grad_(False), CompactVocabulary(state["vocabulary"])


def main(args: argparse.Namespace, rank: int) -> None:
    torch.manual_seed(args.seed)
    latents = np.load(args.data / "latents.npy", mmap_mode="r")
    captions, scenes = (rows[: len(latents)] for rows in read_captions(args.data))
    groups = [np.array([i for i, scene in enumerate(scenes) if len(scene["objects"]) == n]) for n in (1, 2)]
    text, vocabulary = load_text(args.run / "text.pt")
    tokenizer = load_tokenizer(args.tokenizer)
    tokens = vocabulary.table[encode(tokenizer, [c for group in captions for c in group])]
    tokens = tokens.reshape(len(captions), -1, tokens.shape[1])
    count = BATCH // args.workers
    empty = vocabulary.table[encode(tokenizer, [""])[0]]

    unet = Unet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-3, foreach=True)
    average = Average(unet, 0.998)
    checkpoint = args.run / "denoiser.pt"
    step, spent = resume(checkpoint, ("unet", "average_unet"), optimiser, average, unet)
    random = np.random.default_rng([args.seed, step, rank])
    torch.manual_seed(args.seed + step + rank)
    weights = loss_weights()
    budget, progress, saved, sums = Budget(args.minutes, spent), spent / args.minutes, spent, np.zeros(4)

    def save() -> None:
        state = {"unet": unet.state_dict(), "average_unet": average.module.state_dict(), "optimiser": optimiser.state_dict()}
        frozen = {"average_text": text.state_dict(), "vocabulary": vocabulary.ids}
        save_atomically({**state, **frozen, "step": step, "spent": budget.spent}, checkpoint)

    while progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(args.rate, step, progress)
        pairs = random.random(count) < PAIRS
        picks = np.where(pairs, *(random.choice(group, size=count) for group in reversed(groups)))
        ids = tokens[picks, random.integers(tokens.shape[1], size=count)]
        insert_unknown(ids, random)
        ids[random.random(count) < EMPTY_PROMPTS] = empty
        clean = torch.from_numpy(latents[np.sort(picks)][np.argsort(np.argsort(picks))].astype(np.float32))
        spread = (np.arange(count) + random.random(count)) / count  # one timestep from each of `count` equal ranges
        timesteps, noise = torch.from_numpy((spread * 1000).astype(np.int64)), torch.randn(count, 4, 16, 16)
        signal = ALPHA_BAR[timesteps][:, None, None, None]
        x = (signal.sqrt() * clean + (1 - signal).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                context = text(torch.from_numpy(ids))
            predicted = unet(x, timesteps, context).float()
        error = (predicted - noise).square().mean(dim=(1, 2, 3))
        loss = (weights[timesteps] * error).mean()
        strong = error[timesteps >= 500]
        numbers = [loss.item(), strong.sum().item(), float(len(strong)), budget.progress]
        *losses, progress = update(optimiser, loss, numbers)
        step, sums = step + 1, sums + [*losses, 1]
        if rank > 0:
            continue
        average.update(unet)
        if step % 100 == 0:
            values = {"loss": f"{sums[0] / sums[3]:.4f}", "strong noise": f"{sums[1] / sums[2]:.4f}"}
            log_row(args.run / "denoiser.csv", {"step": step, "minutes": f"{budget.spent:.2f}", **values})
            sums = np.zeros(4)
        if budget.spent - saved > 3:
            saved = budget.spent
            save()
    if rank == 0:
        save()


if __name__ == "__main__":
    parser = training_options(__doc__, minutes=70, rate=1e-3)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    run_workers(main, parser)
