"""The policy: an instruction, what is seen and what was done, to the next action."""

import json
from collections import namedtuple
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

ACTIONS = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
START = len(ACTIONS)  # "previous action" of the first step
CELLS, MAX_WORDS = 49, 64
# Every word of the baby language, so that a policy's vocabulary does not depend on its levels.
WORDS = tuple((
    "<pad> a the go to pick up open put next red green blue purple yellow grey box ball key door "
    "object in front of you behind on your left right and then after ,").split())  # fmt: skip
# All that a BabyAI cell can show (object, colour, state), found by object + 16 colour + 128 state.
_KINDS = [("unseen", "red", 0), ("empty", "red", 0), ("wall", "grey", 0)] + [
    (kind, colour, state) for colour in COLOR_TO_IDX for kind, state in
    (("key", 0), ("ball", 0), ("box", 0), ("door", 0), ("door", 1), ("door", 2))]  # fmt: skip
CELL_KINDS = [(OBJECT_TO_IDX[kind], COLOR_TO_IDX[colour], state) for kind, colour, state in _KINDS]
_CELL_INDEX = np.full(255 * (1 + 16 + 128) + 1, -1, np.int64)
_CELL_INDEX[np.array(CELL_KINDS) @ (1, 16, 128)] = np.arange(len(CELL_KINDS))


def cell_kinds(observations: np.ndarray) -> np.ndarray:
    """uint8[..., 7, 7, 3] views -> uint8[..., 49] indices into CELL_KINDS, or ValueError."""
    code = observations.astype(np.int64) @ (1, 16, 128)
    kinds = _CELL_INDEX[code.reshape(*code.shape[:-2], CELLS)]
    if (kinds < 0).any():
        raise ValueError("an observation holds a cell that no BabyAI level contains")
    return kinds.astype(np.uint8)


Sizes = namedtuple("Sizes", "width heads instruction_layers queries history_layers")
"""Sizes of a policy; see ``paper_utils.config.Cloning``, which has these fields, too."""


class InstructionEncoder(nn.Module):
    """Words -> one sentence embedding: a pre-norm transformer, then the mean over words."""

    def __init__(self, sizes: Sizes, vocabulary: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, sizes.width, padding_idx=0)
        self.places = nn.Embedding(MAX_WORDS, sizes.width)
        # Places as loud as words: who is put next to whom is a matter of order.
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.normal_(self.places.weight, std=0.5)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(
            sizes.width, sizes.heads, 2 * sizes.width, 0.0, "gelu", batch_first=True,
            norm_first=True) for _ in range(sizes.instruction_layers))  # fmt: skip
        self.norm = nn.LayerNorm(sizes.width)

    def states(self, tokens: Tensor) -> Tensor:
        """Every layer's word states: float[layers + 1, B, L, width]; layer 0 is the embeddings."""
        states = [self.words(tokens) + self.places.weight[: tokens.shape[1]]]  # (B, L, C)
        for layer in self.layers:
            states.append(layer(states[-1], src_key_padding_mask=tokens == 0))
        return torch.stack(states)

    def pool(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Mean over the words of each sentence, padding excluded: (..., B, L, C) -> (..., B, C)."""
        mask = (tokens != 0).unsqueeze(-1).to(states.dtype)  # (B, L, 1)
        return (states * mask).sum(-2) / mask.sum(-2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(self.pool(self.states(tokens)[-1], tokens))  # (B, C)


class Look(nn.Module):
    """Query vectors attend over the 49 visible cells; each query is one head of full width.  Keys
    and values are sums of embedding rows (object + colour + state + position), so scores and sums
    are made per kind of cell and per position: the numbers of 49 keys, for less work."""

    def __init__(self, width: int, queries: int):
        super().__init__()
        self.width, self.queries = width, queries
        self.q_proj = nn.Linear(width, queries * width)
        sizes = len(OBJECT_TO_IDX), len(COLOR_TO_IDX), 3, CELLS
        tables = [nn.Embedding(size, 2 * width) for size in sizes]
        self.object, self.colour, self.state, self.position = tables
        for table in tables:
            nn.init.normal_(table.weight, std=0.5)
        self.out_proj = nn.Linear(queries * width, width)
        self.register_buffer("kinds", torch.tensor(CELL_KINDS), persistent=False)

    def forward(self, x: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, C), cells int64 (N, 49) -> read-out (N, C), attention (N, Q, 49)."""
        queries = self.q_proj(x).view(-1, self.queries, self.width) * self.width**-0.5  # (N, Q, C)
        o, c, s = self.kinds.unbind(1)
        key, value = (self.object(o) + self.colour(c) + self.state(s)).chunk(2, dim=1)  # (K, C)
        key_at, value_at = self.position.weight.chunk(2, dim=1)  # (49, C)
        index = cells.unsqueeze(1).expand(-1, self.queries, -1)  # (N, Q, 49)
        by_kind = queries @ key.T  # (N, Q, K)
        attention = (by_kind.gather(2, index) + queries @ key_at.T).softmax(-1)  # (N, Q, 49)
        on_kind = torch.zeros_like(by_kind).scatter_add(2, index, attention)  # (N, Q, K)
        read = on_kind @ value + attention @ value_at  # (N, Q, C)
        return self.out_proj(read.flatten(1)), attention


class History(nn.Module):
    """A pre-norm causal transformer layer over the steps of an episode.  Recency is a linear
    penalty per head (ALiBi: Press et al., 2022), so an episode may outlast any demonstration."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(),
                                 nn.Linear(4 * width, width))  # fmt: skip
        slopes = torch.tensor([2.0 ** (-8 * (head + 1) / heads) for head in range(heads)])
        self.register_buffer("slopes", slopes.view(1, heads, 1, 1), persistent=False)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, T, C), after ``past`` (2, B, H, P, C/H) -> (B, T, C), and the past including x."""
        batch, steps, width = x.shape
        qkv = self.qkv_proj(self.norm_attention(x)).view(batch, steps, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, C/H) each
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        at = torch.arange(k.shape[2], device=x.device)
        ago = at[-steps:].unsqueeze(1) - at  # (T, P + T): how many steps ago
        bias = (-self.slopes * ago).masked_fill(ago < 0, float("-inf"))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out_proj(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x)), torch.stack([k, v])


class Policy(nn.Module):
    """Instruction-following policy for BabyAI, cloned from scratch.

    inputs        instruction (words); per step the 7 x 7 view and the previous action
    language      words -> transformer -> mean -> **one sentence embedding** (width); nothing else
                  of the instruction reaches the rest, so this is the vector that is compared
    seeing        sentence + previous action -> ``queries`` vectors that attend over the 49 cells
    memory        causal transformer over the steps so far; no padding, no future is attended
    output        logits over 7 actions (the seventh, "done", is never demonstrated)
    not given     absolute position, compass, the whole grid, reward, pretrained weights"""

    def __init__(self, sizes, words: Sequence[str] = WORDS):
        super().__init__()
        self.sizes = Sizes(*(getattr(sizes, name) for name in Sizes._fields))
        self.words = tuple(words)
        self.word_id = {word: index for index, word in enumerate(self.words)}
        width, depth = sizes.width, sizes.history_layers
        self.instruction = InstructionEncoder(sizes, len(self.words))
        self.previous = nn.Embedding(START + 1, width)
        self.look = Look(width, sizes.queries)
        self.history = nn.ModuleList(History(width, sizes.heads) for _ in range(depth))
        self.action_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width),
                                         nn.GELU(), nn.Linear(2 * width, len(ACTIONS)))  # fmt: skip

    def forward(self, sentence: Tensor, cells: Tensor, previous: Tensor,
                past: list | None = None) -> tuple[Tensor, list, Tensor]:  # fmt: skip
        """sentence (B, C), cells int64 (B, T, 49), previous int64 (B, T) -> logits (B, T, 7), the
        past to hand in with the next steps, and the attention over the cells (B, T, Q, 49)."""
        batch, steps = previous.shape
        x = sentence.unsqueeze(1) + self.previous(previous)  # (B, T, C)
        seen, attention = self.look(x.flatten(0, 1), cells.flatten(0, 1))
        x, kept = x + seen.view(batch, steps, -1), []
        for layer, memory in zip(self.history, past or [None] * len(self.history)):
            x, memory = layer(x, memory)
            kept.append(memory)
        return self.action_head(x), kept, attention.view(batch, steps, -1, CELLS)

    def tokenize(self, instructions: Iterable[str]) -> Tensor:
        """int64[B, L] word ids, right-padded with 0.  Raises ValueError on an unknown word."""
        rows = []
        for text in instructions:
            words = text.replace(",", " ,").split()
            unknown = [word for word in words if word not in self.word_id]
            if unknown or not 0 < len(words) <= MAX_WORDS:
                reason = f"unknown word {unknown[0]!r}" if unknown else f"{len(words)} words"
                raise ValueError(f"not an instruction that this policy knows ({reason}): {text!r}")
            rows.append(torch.tensor([self.word_id[word] for word in words]))
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], layer: int | None = None) -> np.ndarray:
        """Instructions -> float32[N, width], row i for ``texts[i]``: the sentence embedding that it
        acts on, or the mean over words of the states of ``layer``, 0 (word embeddings) to L.
        Raises ValueError on an unknown word or layer."""
        tokens, encoder = self.tokenize(texts), self.eval().instruction
        if layer is None:
            return encoder(tokens).numpy()
        states = encoder.states(tokens)  # (layers + 1, N, L, C)
        if not 0 <= layer < len(states):
            raise ValueError(f"layer {layer} is not among 0 to {len(states) - 1}")
        return encoder.pool(states[layer], tokens).numpy()

    def save(self, folder: Path) -> None:
        save_file(self.state_dict(), folder / "policy.safetensors")
        known = self.sizes._asdict() | {"words": self.words}
        (folder / "policy.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Policy":
        known = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
        policy = cls(words=known.pop("words"), sizes=Sizes(**known))
        policy.load_state_dict(load_file(folder / "policy.safetensors"))
        return policy.eval()
