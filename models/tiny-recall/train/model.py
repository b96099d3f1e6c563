"""The network, its first weights, and its Hugging Face folder."""
import json
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 1536
    hidden: int = 192
    layers: int = 4
    q_heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    intermediate: int = 256
    theta: float = 1e10  # so large that the slower two thirds of a head's pairs hardly turn within 2,048 tokens
    eps: float = 1e-5
    max_positions: int = 4096


def rotary(shape, length, device):
    """-> cos, sin [length, head_dim / 2]"""
    frequencies = shape.theta ** (-torch.arange(0, shape.head_dim, 2, device=device) / shape.head_dim)
    angles = torch.arange(length, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotated(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Block(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        q, kv, d = s.q_heads * s.head_dim, s.kv_heads * s.head_dim, s.hidden
        small = 0.3 / math.sqrt(2 * s.layers)
        self.norm1 = nn.Parameter(torch.ones(d))
        self.norm2 = nn.Parameter(torch.ones(d))
        self.query = nn.Parameter(torch.randn(q, d) * d**-0.5)
        self.key = nn.Parameter(torch.randn(kv, d) * d**-0.5)
        self.value = nn.Parameter(torch.randn(kv, d) * d**-0.5)
        self.output = nn.Parameter(torch.randn(d, q) * q**-0.5 * small)
        self.gate_up = nn.Parameter(torch.randn(2 * s.intermediate, d) * d**-0.5)
        self.down = nn.Parameter(torch.randn(d, s.intermediate) * s.intermediate**-0.5 * small)

    def forward(self, x, cos, sin):
        s, (B, T, d) = self.s, x.shape
        h = F.rms_norm(x, (d,), self.norm1, s.eps)
        heads = lambda w, n: (h @ w.T).view(B, T, n, s.head_dim).transpose(1, 2)
        q = rotated(heads(self.query, s.q_heads), cos, sin)
        k = rotated(heads(self.key, s.kv_heads), cos, sin)
        v = heads(self.value, s.kv_heads)
        group = s.q_heads // s.kv_heads
        a = F.scaled_dot_product_attention(
            q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), is_causal=True)
        x = x + a.transpose(1, 2).reshape(B, T, -1) @ self.output.T
        gate, up = (F.rms_norm(x, (d,), self.norm2, s.eps) @ self.gate_up.T).chunk(2, -1)
        return x + (F.silu(gate) * up) @ self.down.T


class Net(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.randn(shape.vocabulary, shape.hidden) * 0.02)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))

    def forward(self, ids):
        """ids [B, T] -> logits [B, T, V]"""
        cos, sin = rotary(self.shape, ids.shape[1], ids.device)
        x = self.embedding[ids]
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.rms_norm(x, (self.shape.hidden,), self.norm, self.shape.eps) @ self.embedding.T


CODE, SEEN, OFFSETS = 64, 24, 4  # dims of a token's code, of its copy at later positions, and how many of these
ONE = CODE + SEEN * OFFSETS  # the dim that holds a constant
MATCH = (1.0, 0.9, 0.8, 0.65)  # weight of the token 1, 2, 3 and 4 back when contexts are compared
SHARPNESS = 0.15  # of the first logits: the weight of the last norm


@torch.no_grad()
def write_circuit(net):
    """Writes a copying circuit into fresh weights: heads of block 0 look 1 to 4 tokens back and note what stood there;
    heads of block 1 look for the place whose preceding tokens are the present one and those before it, and repeat
    what stands there. All else stays as drawn."""
    s, (first, second) = net.shape, net.blocks[:2]
    D, group = s.head_dim, s.q_heads // s.kv_heads
    orthonormal = lambda rows, columns: torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns)))[0].T \
        if rows <= columns else torch.linalg.qr(torch.randn(rows, columns))[0]
    one = 3.0
    code = torch.randn(s.vocabulary, CODE)
    net.embedding[:, :CODE] = code / code.norm(dim=1, keepdim=True) * CODE**0.5
    net.embedding[:, ONE] = one
    net.norm.fill_(SHARPNESS)

    # Block 0: positions alone decide, through the pairs that turn fastest.
    rms = ((CODE + one**2) / s.hidden) ** 0.5
    frequencies = s.theta ** (-torch.arange(0, D, 2) / D)
    turning = int((frequencies * s.max_positions > 1).sum())
    noted = orthonormal(SEEN, CODE)  # [SEEN, CODE]
    sharp = 12.0 * rms / one
    for m in range(1, OFFSETS + 1):
        head, kv = m - 1, (m - 1) // group
        q, k, v = first.query[head * D:][:D], first.key[kv * D:][:D], first.value[kv * D:][:D]
        for w in (q, k, v): w.zero_()
        k[:turning, ONE] = sharp
        q[:turning, ONE] = sharp * torch.cos(frequencies[:turning] * m)
        q[D // 2:][:turning, ONE] = -sharp * torch.sin(frequencies[:turning] * m)
        v[:SEEN, :CODE] = noted * rms
        first.output[:, head * D:][:, :D] = 0
        at = CODE + SEEN * (m - 1)
        first.output[at:at + SEEN, head * D:head * D + SEEN] = torch.eye(SEEN)

    # Block 1: contexts decide, through the pairs that hardly turn.
    rms = ((CODE + one**2 + SEEN * OFFSETS) / s.hidden) ** 0.5
    still = torch.cat((torch.arange(turning, D // 2), torch.arange(D // 2 + turning, D)))
    sharp = math.sqrt(0.7 * D**0.5) * rms
    copied = 4.0 / (s.q_heads / 2) * rms
    for kv in range(s.kv_heads):
        k, v = second.key[kv * D:][:D], second.value[kv * D:][:D]
        k.zero_(), v.zero_()
        half = slice(0, D) if kv % 2 == 0 else slice(CODE - D, CODE)
        v[:, half] = torch.eye(D)
        heads = range(kv * group, (kv + 1) * group)
        for head in heads:
            second.query[head * D:][:D].zero_()
            second.output[:, head * D:][:, :D] = 0
            second.output[half, head * D:][:, :D] = torch.eye(D) * copied
        for m in range(1, OFFSETS + 1):
            mixed = orthonormal(len(still), SEEN) * sharp * MATCH[m - 1]
            at = CODE + SEEN * (m - 1)
            k[still, at:at + SEEN] = mixed
            for head in heads:
                q = second.query[head * D:][:D]
                if m == 1: q[still, :CODE] = mixed @ noted
                else: q[still, at - SEEN:at] = mixed


def tensors(net):
    """Names as Hugging Face has them. The head is the embedding."""
    s = net.shape
    out = {"model.embed_tokens.weight": net.embedding, "model.norm.weight": net.norm}
    for i, b in enumerate(net.blocks):
        gate, up = b.gate_up.split(s.intermediate)
        names = {"self_attn.q_proj": b.query, "self_attn.k_proj": b.key, "self_attn.v_proj": b.value,
                 "self_attn.o_proj": b.output, "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": b.down,
                 "input_layernorm": b.norm1, "post_attention_layernorm": b.norm2}
        out |= {f"model.layers.{i}.{name}.weight": w for name, w in names.items()}
    return {name: w.detach().cpu().contiguous().clone() for name, w in out.items()}


def export(net, folder):
    from safetensors.torch import save_file
    s = net.shape
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
              "hidden_size": s.hidden, "intermediate_size": s.intermediate, "num_hidden_layers": s.layers,
              "num_attention_heads": s.q_heads, "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim,
              "vocab_size": s.vocabulary, "max_position_embeddings": s.max_positions, "rms_norm_eps": s.eps,
              "rope_theta": s.theta, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
              "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"}
    with open(folder + "/config.json", "w") as f:
        f.write(json.dumps(config, indent=1) + "\n")
    save_file(tensors(net), folder + "/model.safetensors", metadata={"format": "pt"})
