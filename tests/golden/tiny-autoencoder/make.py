"""Makes this golden case: a narrow tiny autoencoder of TAEF2's kind with random weights, and what PyTorch makes of it.

    python make.py [FOLDER]     needs torch, numpy, safetensors, pillow

FOLDER may hold the published TAEF2 beside what its author's program gave for a picture (taef2.safetensors, picture.png,
expected.safetensors with latent and decoded): the network written down here must then give the same.
"""
import hashlib
import json
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, group_norm, interpolate, relu

here = Path(__file__).parent
WIDTH, LATENT = 16, 32
ENCODER = dict(first=0, blocks=[1, 3, 4, 5, 7, 8, 9, 11, 12, 13], halves=[2, 6, 10], pooled=[11, 12, 13], last=14)
DECODER = dict(first=1, blocks=[3, 4, 5, 8, 9, 10, 13, 14, 15, 18], doubles=[7, 12, 17], pooled=[3, 4, 5], last=19)


def conv(w, name, x, stride=1):
    kernel = w[f"{name}.weight"]
    return conv2d(x, kernel, w.get(f"{name}.bias"), stride, kernel.shape[-1] // 2)


def block(w, name, x):
    if f"{name}.pool.0.weight" in w:
        h = group_norm(conv(w, f"{name}.pool.0", x), 4, w[f"{name}.pool.1.weight"], w[f"{name}.pool.1.bias"], 1e-5)
        x = x + conv(w, f"{name}.pool.3", relu(h))
    h = relu(conv(w, f"{name}.conv.0", x))
    h = relu(conv(w, f"{name}.conv.2", h))
    return relu(conv(w, f"{name}.conv.4", h) + x)


def encode(w, x):
    """x in [0, 1]"""
    x = conv(w, "encoder.0", x)
    for place in range(1, ENCODER["last"]):
        name = f"encoder.{place}"
        x = conv(w, name, x, 2) if place in ENCODER["halves"] else block(w, name, x)
    return conv(w, f"encoder.{ENCODER['last']}", x)


def decode(w, z):
    x = relu(conv(w, "decoder.1", torch.tanh(z / 3) * 3))
    for place in range(3, DECODER["last"]):
        name = f"decoder.{place}"
        if place in DECODER["doubles"]:
            x = conv(w, name, interpolate(x, scale_factor=2, mode="nearest"))
        elif place in DECODER["blocks"]:
            x = block(w, name, x)
    return conv(w, f"decoder.{DECODER['last']}", x)


def random_weights(generator):
    w = {}

    def add(name, *shape, gain=1.0, bias=True):
        fan = numpy.prod(shape[1:])
        w[f"{name}.weight"] = torch.randn(shape, generator=generator) * gain * (2 / fan) ** 0.5
        if bias:
            w[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1

    for half, spec, inputs, outputs in (("encoder", ENCODER, 3, LATENT), ("decoder", DECODER, LATENT, 3)):
        add(f"{half}.{spec['first']}", WIDTH, inputs, 3, 3)
        for place in spec["blocks"]:
            name = f"{half}.{place}"
            for i, gain in ((0, 1), (2, 1), (4, 0.3)):
                add(f"{name}.conv.{i}", WIDTH, WIDTH, 3, 3, gain=gain)
            if place in spec["pooled"]:
                add(f"{name}.pool.0", 4 * WIDTH, WIDTH, 1, 1, bias=False)
                w[f"{name}.pool.1.weight"] = 1 + torch.randn(4 * WIDTH, generator=generator) * 0.1
                w[f"{name}.pool.1.bias"] = torch.randn(4 * WIDTH, generator=generator) * 0.1
                add(f"{name}.pool.3", WIDTH, 4 * WIDTH, 1, 1, gain=0.3, bias=False)
        for place in spec.get("halves", spec.get("doubles")):
            add(f"{half}.{place}", WIDTH, WIDTH, 3, 3, gain=0.7, bias=False)
        add(f"{half}.{spec['last']}", outputs, WIDTH, 3, 3, gain=0.3)
    return {name: value.half() for name, value in w.items()}


def compare(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


if len(sys.argv) > 1:
    from PIL import Image

    folder = Path(sys.argv[1])
    trained = {name: value.float() for name, value in load_file(folder / "taef2.safetensors").items()}
    answers = load_file(folder / "expected.safetensors")
    picture = torch.tensor(numpy.asarray(Image.open(folder / "picture.png").convert("RGB"))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        differences = compare(encode(trained, picture), answers["latent"]), compare(decode(trained, answers["latent"]), answers["decoded"])
    print("published weights:", differences)
    assert max(differences) < 2e-3, differences

generator = torch.Generator().manual_seed(20)
stored = random_weights(generator)
image = torch.rand(2, 3, 48, 64, generator=generator)
latent_in = torch.randn(2, LATENT, 4, 6, generator=generator)


def run(dtype, rounded=False):
    """Products of F16 values where `rounded`: the room that the case leaves for programs that round so."""
    w = {name: value.to(dtype) for name, value in stored.items()}
    global conv
    exact = conv
    if rounded:
        conv = lambda w, name, x, stride=1: exact(w, name, x.half().to(dtype), stride)
    try:
        with torch.no_grad():
            return {"latent": encode(w, image.to(dtype)), "decoded": decode(w, latent_in.to(dtype)) * 2 - 1}
    finally:
        conv = exact


truth, single, half = run(torch.float64), run(torch.float32), run(torch.float32, rounded=True)
tolerance = {}
for name, value in truth.items():
    print(name, "spread", value.std().item(), "largest", value.abs().max().item())
    noise = {
        "f32": max(compare(single[name].double(), value), 4e-7) * 50,
        "f16_gemm": max(compare(half[name].double(), value), 3e-4) * 3,
    }
    room = value.norm().item() / value.numel() ** 0.5 * 20
    tolerance[name] = {kind: {"max_abs": rel * room, "rel_l2": rel} for kind, rel in noise.items()}

save_file(stored, here / "taef2.safetensors")
save_file({"image": image * 2 - 1, "latent_in": latent_in}, here / "inputs.safetensors")
save_file({name: value.float().contiguous() for name, value in truth.items()}, here / "expected.safetensors")


def describe(file, what):
    data = (here / file).read_bytes()
    facts = {"what": what, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {**facts, "tensors": len(stored)} if file == "taef2.safetensors" else facts


case = {
    "case": "tiny-autoencoder",
    "what": "a narrow tiny autoencoder of TAEF2's kind: random weights, its author's names",
    "config": {"width": WIDTH, "latent_channels": LATENT, "pooled": True, "norm_groups": 4, "norm_eps": 1e-5},
    "conventions": {
        "input": "the network sees image / 2 + 1/2 and gives (decoded + 1) / 2",
        "decoder": "tanh(z / 3) * 3 first",
        "midblock": "the three blocks at the lowest resolution add a pooled branch: 1x1 to 4 times the channels, "
        "GroupNorm, ReLU, 1x1 back, before the residual convolutions",
    },
    "files": {
        "taef2.safetensors": describe("taef2.safetensors", "F16, encoder.* / decoder.*"),
        "inputs.safetensors": describe("inputs.safetensors", "inputs"),
        "expected.safetensors": describe("expected.safetensors", "expected outputs"),
    },
    "reference": {"torch": torch.__version__},
    "inputs": {
        "image": {"shape": list(image.shape), "axes": "[batch, rgb, H, W] in [-1, 1]"},
        "latent_in": {"shape": list(latent_in.shape), "axes": "[batch, C, h, w]"},
    },
    "expected": {
        "latent": {"shape": list(truth["latent"].shape), "axes": "[batch, C, H/8, W/8]"},
        "decoded": {"shape": list(truth["decoded"].shape), "axes": "[batch, rgb, 8h, 8w]"},
    },
    "tolerance": tolerance,
}
(here / "case.json").write_text(json.dumps(case, indent=1) + "\n")
