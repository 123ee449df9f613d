"""The three networks of the embedded model `pocket`, as PyTorch modules whose tensor names are those of a
Stable Diffusion 1.x checkpoint (LDM layout), so that the engine loads it like any other SD 1.x file."""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENT_SCALE = 0.18215  # the fixed factor of SD 1.x between encoder output and the latents the UNet sees
CONTEXT_TOKENS = 77


@dataclass(frozen=True)
class AutoencoderConfig:
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 1  # per level; the decoder has one more
    norm_groups: int = 8


@dataclass(frozen=True)
class TextConfig:
    width: int = 96
    layers: int = 3
    heads: int = 3
    vocabulary: int = 49408


@dataclass(frozen=True)
class UnetConfig:
    channels: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2)
    attention: tuple[bool, ...] = (False, True, True)  # none at 16 x 16, where it takes half the time
    res_blocks: int = 1  # per level; the decoder half has one more
    heads: int = 8
    norm_groups: int = 8
    context: int = 96


class ConvertedGroupNorm(nn.GroupNorm):
    """Group norm that keeps the activations in the autocast type; statistics are taken in F32 by the kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


# ---------------------------------------------------------------------------------------------- autoencoder


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
    """One head over all positions."""

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


class Resample(nn.Module):
    def __init__(self, channels: int, down: bool):
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.down:  # the LDM autoencoder pads right and bottom only
            return self.conv(F.pad(x, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


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
        # Little noise on the latents and near-identity blocks at first: both save thousands of steps.
        nn.init.zeros_(self.quant_conv.weight.data[4:])
        nn.init.constant_(self.quant_conv.bias.data[4:], -6.0)
        for module in self.modules():
            if isinstance(module, AutoencoderBlock):
                module.conv2.weight.data.mul_(0.1)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior, before the latent scale."""
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z))


# ---------------------------------------------------------------------------------------------- text encoder


class TextAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = (
            f(x).view(b, n, self.heads, c // self.heads).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj)
        )
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(h.transpose(1, 2).reshape(b, n, c))


class TextLayer(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.self_attn = TextAttention(width, heads)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(width, 4 * width)
        self.mlp.fc2 = nn.Linear(4 * width, width)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        h = self.mlp.fc1(self.layer_norm2(x))
        return x + self.mlp.fc2(h * torch.sigmoid(1.702 * h))  # quick GELU


class TextEncoder(nn.Module):
    """CLIP-L's text encoder. `forward` gives the last hidden state after the final layer norm, [B, 77, width]."""

    def __init__(self, config: TextConfig = TextConfig()):
        super().__init__()
        model = nn.Module()
        model.embeddings = nn.Module()
        model.embeddings.token_embedding = nn.Embedding(config.vocabulary, config.width)
        model.embeddings.position_embedding = nn.Embedding(CONTEXT_TOKENS, config.width)
        model.encoder = nn.Module()
        model.encoder.layers = nn.ModuleList(TextLayer(config.width, config.heads) for _ in range(config.layers))
        model.final_layer_norm = nn.LayerNorm(config.width)
        self.text_model = model
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=config.width**-0.5)
                nn.init.zeros_(module.bias)
        nn.init.normal_(model.embeddings.token_embedding.weight, std=0.5)
        nn.init.normal_(model.embeddings.position_embedding.weight, std=0.1)
        for layer in model.encoder.layers:
            layer.self_attn.out_proj.weight.data.mul_(0.4)
            layer.mlp.fc2.weight.data.mul_(0.2)

    def forward(self, ids: Tensor) -> Tensor:
        model = self.text_model
        h = model.embeddings.token_embedding(ids) + model.embeddings.position_embedding.weight[: ids.shape[1]]
        for layer in model.encoder.layers:
            h = layer(h)
        return model.final_layer_norm(h)


# ---------------------------------------------------------------------------------------------- UNet


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
        # Written out: the backward pass of PyTorch's fused attention is three times slower on a CPU.
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
