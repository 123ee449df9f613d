"""Token ids of a data set's captions, and what each caption says, for training the text encoder."""
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

TOKENS, BEGIN, END = 77, 49406, 49407
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "white", "black"]
RELATIONS = ["above", "left of", "inside"]
STYLES = ["flat", "outline", "soft"]
SIZES = ["small", "medium", "large"]


def load_tokenizer(path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(tokenizer: Tokenizer, captions: list[str]) -> np.ndarray:
    """CLIP's ids, [N, 77]: a begin token, at most 75 tokens, then end tokens up to the last position."""
    ids = np.full((len(captions), TOKENS), END, dtype=np.int64)
    ids[:, 0] = BEGIN
    for row, encoded in zip(ids, tokenizer.encode_batch(captions, add_special_tokens=False)):
        tokens = [i for i in encoded.ids if i not in (BEGIN, END)][: TOKENS - 2]
        row[1 : 1 + len(tokens)] = tokens
    return ids


class CompactVocabulary:
    """Assigns rows to the ids that occur. Row 0 stands for every other id and stays zero."""

    def __init__(self, ids: np.ndarray | list[int]):
        used = np.unique(np.asarray(ids))
        self.ids = [-1, *(int(i) for i in used if i >= 0)]
        self.table = np.zeros(49408, dtype=np.int64)
        self.table[self.ids[1:]] = np.arange(1, len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)


def read_captions(folder: Path) -> tuple[list[list[str]], list[dict]]:
    rows = [json.loads(line) for line in (folder / "captions.jsonl").open()]
    return [row["captions"] for row in rows], [row["scene"] for row in rows]


def labels_of(scenes: list[dict]) -> dict[str, np.ndarray]:
    """One class number per scene and question; class 0 of the second object's questions is `there is none`."""
    shapes = sorted({o["shape"] for s in scenes for o in s["objects"]})
    columns: dict[str, list[int]] = {}
    for scene in scenes:
        row = {
            "background": COLOURS.index(scene["background"]),
            "style": STYLES.index(scene["style"]),
            "relation": 1 + RELATIONS.index(scene["relation"]) if "relation" in scene else 0,
        }
        for i, slot in enumerate(("first", "second")):
            o = scene["objects"][i] if i < len(scene["objects"]) else None
            row[f"{slot} shape"] = 1 + shapes.index(o["shape"]) if o else 0
            row[f"{slot} colour"] = 1 + COLOURS.index(o["colour"]) if o else 0
            row[f"{slot} size"] = 1 + SIZES.index(o["size"]) if o else 0
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in columns.items()}
