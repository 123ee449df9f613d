"""The noise schedule of SD 1.x, and a small sampler for watching training. The product has its own samplers."""
import numpy as np
import torch
from torch import Tensor

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHA_BAR = torch.cumprod(1 - BETAS, 0).float()
SIGMAS = ((1 - ALPHA_BAR) / ALPHA_BAR).sqrt()


def schedule(name: str, steps: int) -> Tensor:
    """Sigmas in descending order, followed by 0."""
    if name == "karras":
        low, high = SIGMAS[0] ** (1 / 7), SIGMAS[-1] ** (1 / 7)
        sigmas = (high + torch.linspace(0, 1, steps) * (low - high)) ** 7
    elif name == "normal":
        t = np.linspace(999, 0, steps)
        sigmas = torch.from_numpy(np.exp(np.interp(t, np.arange(1000), SIGMAS.log().numpy()))).float()
    else:
        raise ValueError(f"schedule: expected karras or normal, found {name}")
    return torch.cat([sigmas, torch.zeros(1)])


def timestep_of(sigma: Tensor) -> float:
    return float(np.interp(float(sigma.log()), SIGMAS.log().numpy(), np.arange(1000)))


@torch.no_grad()
def sample(unet, context: Tensor, empty: Tensor, noise: Tensor, *, steps=20, guidance=4.0, name="karras", sampler="euler"):
    """Samples latents [B, 4, h, w] for contexts [B, 77, width]. `empty` [1, 77, width] is the empty prompt's state."""
    sigmas = schedule(name, steps)
    x, count, previous = noise * sigmas[0], len(noise), None
    both = torch.cat([context, empty.expand(count, -1, -1)])
    for i in range(steps):
        sigma, following = sigmas[i], sigmas[i + 1]
        scaled = (x / (sigma**2 + 1).sqrt()).repeat(2, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            eps = unet(scaled, torch.full((2 * count,), timestep_of(sigma)), both).float()
        eps = eps[count:] + guidance * (eps[:count] - eps[count:])
        denoised = x - sigma * eps
        if sampler == "euler" or following == 0:
            x = x + (following - sigma) * eps if following > 0 else denoised
        else:  # dpm++ 2m
            t, t_next = -sigma.log(), -following.log()
            h = t_next - t
            if previous is None:
                d = denoised
            else:
                r = (t + sigmas[i - 1].log()) / h
                d = (1 + 1 / (2 * r)) * denoised - 1 / (2 * r) * previous
            x = (following / sigma) * x - (-h).expm1() * d
        previous = denoised
    return x
