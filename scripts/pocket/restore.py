"""Makes checkpoints from the published weights, so that training can continue from them: restore.py --gguf FILE --run DIR
A GGUF has no optimiser states, so they start fresh. Then run encode.py, train_denoiser.py, … on DIR as usual."""
import argparse
from pathlib import Path

import gguf
import torch

from autoencoder import LATENT_SCALE, Autoencoder
from export import fold_latent_scale
from text_encoder import TextConfig
from training import save_atomically

TRAINED_DEVIATION = 1.7  # of latents before encode.py scales them
TOKENS = "text_model.embeddings.token_embedding.weight"


def read_parts(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """State dicts by network prefix, as F32."""
    parts: dict[str, dict[str, torch.Tensor]] = {
        "cond_stage_model.transformer.": {},
        "model.diffusion_model.": {},
        "first_stage_model.": {},
    }
    for tensor in gguf.GGUFReader(path).tensors:
        prefix = next(p for p in parts if tensor.name.startswith(p))
        shape = [int(n) for n in reversed(tensor.shape)]
        parts[prefix][tensor.name.removeprefix(prefix)] = torch.from_numpy(tensor.data.copy()).float().reshape(shape)
    return parts


def compact_vocabulary(text: dict[str, torch.Tensor]) -> list[int]:
    """Returns -1 for row 0, which stands for all untrained ids, then the trained ids. Shrinks the table in place."""
    rows = text[TOKENS]
    assert rows.shape[0] == TextConfig.vocabulary
    used = rows.abs().sum(dim=1).nonzero().flatten()
    text[TOKENS] = torch.cat([torch.zeros(1, rows.shape[1]), rows[used]])
    return [-1, *used.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    text, unet, autoencoder = read_parts(args.gguf).values()
    vocabulary = compact_vocabulary(text)
    start = {"step": 0, "spent": 0.0}
    save_atomically(autoencoder, args.run / "autoencoder-final.pt")
    model = Autoencoder()
    model.load_state_dict(autoencoder)
    # The KL term of training expects latents at about the deviation that it leads to, not at the published scale.
    fold_latent_scale(model, torch.full((4,), 1 / (LATENT_SCALE**2 * TRAINED_DEVIATION)), torch.zeros(4))
    save_atomically({"model": model.state_dict(), "average": model.state_dict(), **start}, args.run / "autoencoder.pt")
    save_atomically({"model": text, "vocabulary": vocabulary}, args.run / "text.pt")
    frozen = {"average_text": text, "vocabulary": vocabulary}
    save_atomically({"unet": unet, "average_unet": unet, **frozen, **start}, args.run / "denoiser.pt")
    print(f"{args.run}: {len(vocabulary) - 1} tokens, {sum(t.numel() for t in unet.values()) / 1e6:.1f} M UNet parameters")


if __name__ == "__main__":
    main()
