"""Trains pocket's text encoder to understand captions: train_text.py --data DIR --tokenizer FILE --out DIR --minutes M
Linear readouts at fixed padding positions must name what the caption says: the first object at some positions, the
second at others, background, style and relation at the last. The denoiser then finds each by cross-attention from its
first step on, which on two cores saves most of the time that learning language from noise would take."""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from captions import CompactVocabulary, encode, labels_of, load_tokenizer, read_captions
from text_encoder import TextConfig, TextEncoder
from training import Average, Budget, learning_rate, log_row, save_atomically, training_options

BATCH = 96
READOUTS = {"first": range(41, 53), "second": range(53, 65), "whole": range(65, 77)}
UNKNOWN_WORDS = 0.08  # share of captions that carry a word the model never learns


def insert_unknown(ids: np.ndarray, random: np.random.Generator) -> None:
    """Moves the end of some captions by one and puts row 0, the unknown word, in between."""
    for row in ids[random.random(len(ids)) < UNKNOWN_WORDS]:
        at = random.integers(1, 8)
        row[at + 1 :] = row[at:-1].copy()
        row[at] = 0


def main() -> None:
    parser = training_options(__doc__, minutes=4, rate=2e-3)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    captions, scenes = read_captions(args.data)
    tokens = encode(load_tokenizer(args.tokenizer), [c for group in captions for c in group])
    vocabulary = CompactVocabulary(tokens)
    tokens = vocabulary.table[tokens].reshape(len(captions), -1, tokens.shape[1])
    labels = {key: torch.from_numpy(values) for key, values in labels_of(scenes).items()}
    print(f"{len(captions)} scenes, {len(vocabulary)} tokens, longest caption {(tokens != tokens[0, 0, -1]).sum(-1).max()}")

    model = TextEncoder(TextConfig(vocabulary=len(vocabulary)))
    embedding = model.text_model.embeddings.token_embedding
    embedding.weight.data[0] = 0
    embedding.padding_idx = 0
    heads = nn.ModuleDict({key: nn.Linear(TextConfig.width, int(v.max()) + 1) for key, v in labels.items()})
    parameters = [*model.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-3, foreach=True)
    average = Average(model, 0.99)
    budget, step, sums = Budget(args.minutes), 0, np.zeros(3)
    while budget.progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(args.rate, step, budget.progress, warm_up=100)
        picks = random.integers(len(tokens), size=BATCH)
        ids = tokens[picks, random.integers(tokens.shape[1], size=BATCH)]
        insert_unknown(ids, random)
        with torch.autocast("cpu", torch.bfloat16):
            states = model(torch.from_numpy(ids)).float()
        loss, right = torch.zeros(()), {}
        for key, head in heads.items():
            at = READOUTS.get(key.split()[0], READOUTS["whole"])
            place = at[random.integers(len(at))]
            scores, wanted = head(states[:, place]), labels[key][picks]
            loss = loss + F.cross_entropy(scores, wanted)
            right[key] = (scores.argmax(1) == wanted).float()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update(model)
        every = torch.stack([hit for key, hit in right.items() if "size" not in key]).prod(0).mean()
        step, sums = step + 1, sums + [loss.item(), every.item(), 1]
        if step % 50 == 0:
            values = {"loss": f"{sums[0] / sums[2]:.4f}", "all right": f"{sums[1] / sums[2]:.3f}"}
            log_row(args.out / "text.csv", {"step": step, "minutes": f"{budget.spent:.2f}", **values})
            sums = np.zeros(3)
            save_atomically({"model": average.module.state_dict(), "vocabulary": vocabulary.ids}, args.out / "text.pt")
    save_atomically({"model": average.module.state_dict(), "vocabulary": vocabulary.ids}, args.out / "text.pt")


if __name__ == "__main__":
    main()
