"""Measures Stable Diffusion 1.5's UNet and decoder in PyTorch: F32, random weights, the same sizes and threads as ours.

    python scripts/bench/torch_sd15.py [threads] [sizes...]

Prints JSON: seconds per step (the UNet on a batch of two) and per decode by size, this process's peak memory in bytes
after the steps and overall, and the rate of the F32 matrix product 2048^3 in GFLOP/s.
"""
import json
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = (320, 640, 1280, 1280)
DECODER_CHANNELS = (512, 512, 256, 128)
HEADS, CONTEXT, TIME = 8, 768, 1280


def conv(inner, out, size=3, stride=1):
    return nn.Conv2d(inner, out, size, stride, size // 2)


class ResBlock(nn.Module):
    def __init__(self, inner, out, time_width=None, eps=1e-5):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, inner, eps), nn.GroupNorm(32, out, eps)
        self.conv1, self.conv2 = conv(inner, out), conv(out, out)
        self.time = nn.Linear(time_width, out) if time_width else None
        self.skip = conv(inner, out, 1) if inner != out else nn.Identity()

    def forward(self, x, t=None):
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time is not None:
            h = h + self.time(F.silu(t))[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(context, width, bias=False) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, x, context):
        q, k, v = (y.unflatten(2, (HEADS, -1)).transpose(1, 2)
                   for y in (self.query(x), self.key(context), self.value(context)))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, 1e-6)
        self.proj_in, self.proj_out = conv(width, width, 1), conv(width, width, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self, self.cross = Attention(width, width), Attention(width, CONTEXT)
        self.up, self.down = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, image, context):
        x = self.proj_in(self.norm(image)).flatten(2).transpose(1, 2)
        y = self.norms[0](x)
        x = x + self.self(y, y)
        x = x + self.cross(self.norms[1](x), context)
        value, gate = self.up(self.norms[2](x)).chunk(2, -1)
        x = x + self.down(value * F.gelu(gate))
        return image + self.proj_out(x.transpose(1, 2).unflatten(2, image.shape[2:]))


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(320, TIME), nn.SiLU(), nn.Linear(TIME, TIME))
        self.first = conv(4, 320)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [320], 320
        for level, out in enumerate(CHANNELS):
            for _ in range(2):
                self.down.append(self.block(width, out, level < 3))
                width = out
                skips.append(width)
            if level < 3:
                self.down.append(nn.ModuleList([conv(width, width, 3, 2)]))
                skips.append(width)
        self.middle = nn.ModuleList([ResBlock(width, width, TIME), Transformer(width),
                                     ResBlock(width, width, TIME)])
        for level, out in reversed(list(enumerate(CHANNELS))):
            for i in range(3):
                block = self.block(width + skips.pop(), out, level < 3)
                width = out
                if i == 2 and level > 0:
                    block.append(nn.Upsample(scale_factor=2))
                    block.append(conv(width, width))
                self.up.append(block)
        self.norm, self.last = nn.GroupNorm(32, 320), conv(320, 4)

    @staticmethod
    def block(inner, out, attends):
        return nn.ModuleList([ResBlock(inner, out, TIME)] + ([Transformer(out)] if attends else []))

    @staticmethod
    def run(layers, x, t, context):
        for layer in layers:
            if isinstance(layer, ResBlock):
                x = layer(x, t)
            else:
                x = layer(x, context) if isinstance(layer, Transformer) else layer(x)
        return x

    def forward(self, x, t, context):
        t = self.time(t)
        x = self.first(x)
        skips = [x]
        for layers in self.down:
            x = self.run(layers, x, t, context)
            skips.append(x)
        x = self.run(self.middle, x, t, context)
        for layers in self.up:
            x = self.run(layers, torch.cat((x, skips.pop()), 1), t, context)
        return self.last(F.silu(self.norm(x)))


class DecoderAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, 1e-6)
        self.query, self.key, self.value, self.out = (conv(width, width, 1) for _ in range(4))

    def forward(self, x):
        y = self.norm(x)
        q, k, v = (p(y).flatten(2).transpose(1, 2)[:, None] for p in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.out(y.transpose(1, 2).unflatten(2, x.shape[2:]))


def make_decoder():
    width = DECODER_CHANNELS[0]
    block = lambda inner, out: ResBlock(inner, out, eps=1e-6)
    layers = [conv(4, 4, 1), conv(4, width), block(width, width), DecoderAttention(width), block(width, width)]
    for level, out in enumerate(DECODER_CHANNELS):
        for _ in range(3):
            layers.append(block(width, out))
            width = out
        if level < 3:
            layers += [nn.Upsample(scale_factor=2), conv(width, width)]
    return nn.Sequential(*layers, nn.GroupNorm(32, width, 1e-6), nn.SiLU(), conv(width, 3))


def seconds(run, repeats=3):
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_bytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024


@torch.inference_mode()
def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads()
    sizes = [int(size) for size in sys.argv[2:]] or [512, 256]
    torch.set_num_threads(threads)
    result = {'version': torch.__version__, 'threads': threads}
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    result['productGflops'] = 2 * 2048 ** 3 / seconds(lambda: a @ b, 5) / 1e9
    unet = Unet().eval()
    result['unetParameters'] = sum(p.numel() for p in unet.parameters())
    time_embedding, context = torch.randn(2, 320), torch.randn(2, 77, CONTEXT)
    for size in sizes:
        latent = torch.randn(2, 4, size // 8, size // 8)
        result[f'step {size}'] = seconds(lambda: unet(latent, time_embedding, context))
    result['samplingPeakBytes'] = peak_bytes()
    decoder = make_decoder().eval()
    result['decoderParameters'] = sum(p.numel() for p in decoder.parameters())
    for size in sizes:
        latent = torch.randn(1, 4, size // 8, size // 8)
        result[f'decode {size}'] = seconds(lambda: decoder(latent))
    result['peakBytes'] = peak_bytes()
    print(json.dumps(result))


if __name__ == '__main__':
    main()
