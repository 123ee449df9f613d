"""Writes pocket's weights as one GGUF in the SD 1.x layout: export.py --run DIR --out models/pocket.gguf
Takes the averaged weights of DIR/autoencoder.pt and DIR/denoiser.pt; `--untrained` writes random ones instead."""
import argparse
import json
from pathlib import Path

import gguf
import torch

from autoencoder import LATENT_SCALE, Autoencoder, AutoencoderConfig
from text_encoder import TextConfig, TextEncoder
from unet import Unet, UnetConfig

DESCRIPTION = "Drawings of one or two coloured shapes on a plain background, 128 x 128; trained from nothing on drawn scenes"


def fold_latent_scale(model: Autoencoder, scale: torch.Tensor, shift: torch.Tensor) -> None:
    """Makes posterior mean * 0.18215 have zero mean and unit deviation per channel, as the SD 1.x pipeline expects.
    `shift` and `scale` are the measured mean and deviation of the raw posterior mean, [4] each."""
    gain = 1 / (scale * LATENT_SCALE)
    with torch.no_grad():
        model.quant_conv.weight[:4] *= gain[:, None, None, None]
        model.quant_conv.bias[:4] = (model.quant_conv.bias[:4] - shift) * gain
        model.quant_conv.bias[4:] += 2 * gain.log()
        model.post_quant_conv.bias += model.post_quant_conv.weight[:, :, 0, 0] @ shift
        model.post_quant_conv.weight *= (1 / gain)[None, :, None, None]


def full_vocabulary(text: dict, ids: list[int]) -> dict:
    """Spreads the rows of the trained vocabulary over CLIP's 49408 ids; ids never seen share row 0, which is zero."""
    name = "text_model.embeddings.token_embedding.weight"
    rows = torch.zeros(TextConfig.vocabulary, text[name].shape[1])
    rows[torch.tensor(ids[1:])] = text[name][1:]
    return {**text, name: rows}


def write(path: Path, parts: dict[str, dict], defaults: dict) -> None:
    writer = gguf.GGUFWriter(path, "sd1")
    writer.add_name("pocket")
    writer.add_description(DESCRIPTION)
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_uint32("imageforge.autoencoder.norm_groups", AutoencoderConfig.norm_groups)
    writer.add_uint32("imageforge.unet.norm_groups", UnetConfig.norm_groups)
    writer.add_uint32("imageforge.unet.heads", UnetConfig.heads)
    writer.add_uint32("imageforge.text.heads", TextConfig.heads)
    for key in ("steps", "width", "height"):
        writer.add_uint32(f"imageforge.default.{key}", defaults[key])
    writer.add_float32("imageforge.default.guidance", defaults["guidance"])
    for key in ("sampler", "schedule"):
        writer.add_string(f"imageforge.default.{key}", defaults[key])
    for prefix, state in parts.items():
        for name, tensor in state.items():
            kind = torch.float16 if tensor.dim() > 1 else torch.float32
            writer.add_tensor(f"{prefix}.{name}", tensor.to(kind).contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--defaults", type=Path, default=Path(__file__).parent / "defaults.json")
    parser.add_argument("--untrained", action="store_true")
    args = parser.parse_args()
    autoencoder = Autoencoder()
    if args.untrained:
        torch.manual_seed(1)
        unet, text = Unet(), TextEncoder()
        for parameter in unet.parameters():  # the zero-initialised layers would hide mistakes
            if parameter.abs().max() == 0 and parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        unet, text = unet.state_dict(), text.state_dict()
    else:
        state = torch.load(args.run / "denoiser.pt", map_location="cpu")
        unet = state["average_unet"]
        text = full_vocabulary(state["average_text"], state["vocabulary"])
        autoencoder.load_state_dict(torch.load(args.run / "autoencoder-final.pt"))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        "cond_stage_model.transformer": text,
        "model.diffusion_model": unet,
        "first_stage_model": autoencoder.state_dict(),
    }
    write(args.out, parts, json.loads(args.defaults.read_text()))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
