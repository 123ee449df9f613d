"""The UNet of `pocket`, with the tensor names of SD 1.x checkpoints (LDM layout)."""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layers import ConvertedGroupNorm, Resample


@dataclass(frozen=True)
class UnetConfig:
    channels: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2)
    attention: tuple[bool, ...] = (False, True, True)  # none at 16 x 16, where it would take half the time
    res_blocks: int = 1  # per level; the decoder half has one more
    heads: int = 8
    norm_groups: int = 8
    context: int = 96


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int):
        super().__init__()
        self.in_layers = nn.Sequential(
            ConvertedGroupNorm(groups, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        self.out_layers = nn.Sequential(
            ConvertedGroupNorm(groups, outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        nn.init.zeros_(self.out_layers[3].weight)
        nn.init.zeros_(self.out_layers[3].bias)
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class CrossAttention(nn.Module):
    def __init__(self, channels: int, context: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels), nn.Identity())

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        b, n, c = x.shape
        size = c // self.heads
        q, k, v = (
            f(s).view(b, -1, self.heads, size).transpose(1, 2).reshape(b * self.heads, -1, size)
            for f, s in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        # Written out, since the backward pass of PyTorch's fused attention is three times slower on a CPU.
        h = torch.bmm(torch.softmax(torch.bmm(q * size**-0.5, k.transpose(1, 2)), dim=-1), v)
        return self.to_out(h.view(b, self.heads, n, size).transpose(1, 2).reshape(b, n, c))


class GatedProjection(nn.Module):
    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class TransformerBlock(nn.Module):
    def __init__(self, channels: int, context: int, heads: int):
        super().__init__()
        self.attn1 = CrossAttention(channels, channels, heads)
        self.ff = nn.Module()
        self.ff.net = nn.Sequential(
            GatedProjection(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)
        )
        self.attn2 = CrossAttention(channels, context, heads)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff.net(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, channels: int, context: int, heads: int, groups: int):
        super().__init__()
        self.norm = ConvertedGroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, context, heads)])
        self.proj_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        b, c, height, width = x.shape
        h = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).reshape(b, height * width, c)
        for block in self.transformer_blocks:
            h = block(h, context)
        return x + self.proj_out(h.reshape(b, height, width, c).permute(0, 3, 1, 2))


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Unet(nn.Module):
    """Predicts the noise in `x` [B, 4, h, w] at `timesteps` [B] (0..999) given `context` [B, 77, width]."""

    def __init__(self, config: UnetConfig = UnetConfig()):
        super().__init__()
        self.channels = config.channels
        width, groups = config.channels, config.norm_groups
        embedding = 4 * width
        self.time_embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        sizes = [config.channels * m for m in config.multipliers]

        def stage(inputs: int, outputs: int, attention: bool) -> list[nn.Module]:
            block = ResBlock(inputs, outputs, embedding, groups)
            if not attention:
                return [block]
            return [block, SpatialTransformer(outputs, config.context, config.heads, groups)]

        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(4, width, 3, padding=1)])])
        skips = [width]
        for i, size in enumerate(sizes):
            for _ in range(config.res_blocks):
                self.input_blocks.append(nn.ModuleList(stage(width, size, config.attention[i])))
                width = size
                skips.append(width)
            if i + 1 < len(sizes):
                self.input_blocks.append(nn.ModuleList([Downsample(width)]))
                skips.append(width)
        self.middle_block = nn.ModuleList(stage(width, width, True) + stage(width, width, False))
        self.output_blocks = nn.ModuleList()
        for i, size in reversed(list(enumerate(sizes))):
            for j in range(config.res_blocks + 1):
                modules = stage(width + skips.pop(), size, config.attention[i])
                width = size
                if i > 0 and j == config.res_blocks:
                    modules.append(Resample(width, down=False))
                self.output_blocks.append(nn.ModuleList(modules))
        self.out = nn.Sequential(ConvertedGroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))
        nn.init.zeros_(self.out[2].weight)
        nn.init.zeros_(self.out[2].bias)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        half = self.channels // 2
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
        angles = timesteps.float()[:, None] * frequencies
        embedding = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))

        def run(modules: nn.ModuleList, h: Tensor) -> Tensor:
            for module in modules:
                if isinstance(module, ResBlock):
                    h = module(h, embedding)
                elif isinstance(module, SpatialTransformer):
                    h = module(h, context)
                else:
                    h = module(h)
            return h

        skips = []
        h = x
        for modules in self.input_blocks:
            h = run(modules, h)
            skips.append(h)
        h = run(self.middle_block, h)
        for modules in self.output_blocks:
            h = run(modules, torch.cat([h, skips.pop()], dim=1))
        return self.out(h)
