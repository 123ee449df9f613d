"""The text encoder of `pocket`, with the tensor names of SD 1.x checkpoints (Hugging Face's CLIP)."""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT_TOKENS = 77


@dataclass(frozen=True)
class TextConfig:
    width: int = 96
    layers: int = 3
    heads: int = 3
    vocabulary: int = 49408


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
    """CLIP-L's text encoder. `forward` returns the last hidden state after the final layer norm, [B, 77, width]."""

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
