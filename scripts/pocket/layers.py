"""Layers that pocket's convolutional networks share."""
import torch.nn.functional as F
from torch import Tensor, nn


class ConvertedGroupNorm(nn.GroupNorm):
    """Group norm that keeps activations in the autocast type. The kernel computes statistics in F32."""

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class Resample(nn.Module):
    def __init__(self, channels: int, down: bool):
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.down:  # the LDM autoencoder pads right and bottom only
            return self.conv(F.pad(x, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
