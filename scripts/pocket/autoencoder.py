"""The autoencoder of `pocket`. Its tensor names are those of Stable Diffusion 1.x checkpoints (LDM layout), so that the
engine loads it like any other."""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layers import ConvertedGroupNorm, Resample

LATENT_SCALE = 0.18215  # the fixed factor of SD 1.x between encoder output and the latents the UNet sees


@dataclass(frozen=True)
class AutoencoderConfig:
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 1  # per level; the decoder has one more
    norm_groups: int = 8


class AutoencoderBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.norm1 = ConvertedGroupNorm(groups, inputs, eps=1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = ConvertedGroupNorm(groups, outputs, eps=1e-6)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AutoencoderAttention(nn.Module):
    """Attention with one head over all positions."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = ConvertedGroupNorm(groups, channels, eps=1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        h = self.norm(x)
        q, k, v = (f(h).reshape(b, 1, c, height * width).transpose(2, 3) for f in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(h.transpose(2, 3).reshape(b, c, height, width))


def autoencoder_middle(channels: int, groups: int) -> nn.Module:
    middle = nn.Module()
    middle.block_1 = AutoencoderBlock(channels, channels, groups)
    middle.attn_1 = AutoencoderAttention(channels, groups)
    middle.block_2 = AutoencoderBlock(channels, channels, groups)
    return middle


class Encoder(nn.Module):
    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        width = config.channels
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList()
        for i, multiplier in enumerate(config.multipliers):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(config.res_blocks):
                level.block.append(AutoencoderBlock(width, config.channels * multiplier, config.norm_groups))
                width = config.channels * multiplier
            if i + 1 < len(config.multipliers):
                level.downsample = Resample(width, down=True)
            self.down.append(level)
        self.mid = autoencoder_middle(width, config.norm_groups)
        self.norm_out = ConvertedGroupNorm(config.norm_groups, width, eps=1e-6)
        self.conv_out = nn.Conv2d(width, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                h = block(h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        width = config.channels * config.multipliers[-1]
        self.conv_in = nn.Conv2d(4, width, 3, padding=1)
        self.mid = autoencoder_middle(width, config.norm_groups)
        levels = []
        for i, multiplier in reversed(list(enumerate(config.multipliers))):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(config.res_blocks + 1):
                level.block.append(AutoencoderBlock(width, config.channels * multiplier, config.norm_groups))
                width = config.channels * multiplier
            if i > 0:
                level.upsample = Resample(width, down=False)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)  # up.0 is the finest level, as in LDM
        self.norm_out = ConvertedGroupNorm(config.norm_groups, width, eps=1e-6)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.conv_in(z)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        for level in reversed(self.up):
            for block in level.block:
                h = block(h)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Autoencoder(nn.Module):
    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()):
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.post_quant_conv = nn.Conv2d(4, 4, 1)
        # Start with little noise on the latents and near-identity blocks: both save thousands of steps.
        nn.init.zeros_(self.quant_conv.weight.data[4:])
        nn.init.constant_(self.quant_conv.bias.data[4:], -6.0)
        for module in self.modules():
            if isinstance(module, AutoencoderBlock):
                module.conv2.weight.data.mul_(0.1)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior, before latent scaling."""
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z))
