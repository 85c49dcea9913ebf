"""The policy: from an instruction, what is seen and what was done, to the next action."""

import json
from itertools import product, zip_longest
from typing import NamedTuple

import numpy as np
import torch
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from paper_utils.data.levels import ACTIONS, HIDDEN, THINGS, hide_colours
from paper_utils.store import read_json

START = len(ACTIONS)  # stands for the previous action where there is none yet
CELLS = 49  # of the 7 x 7 view
MAX_WORDS = 64
PAD = 0  # the token that fills up short sentences

# Every word of the baby language, so that the vocabulary does not depend on the levels.
WORDS = tuple(
    "<pad> a the go to pick up open put next red green blue purple yellow grey box ball key door "
    "object in front of you behind on your left right and then after ,".split()
)


# All that a cell of a BabyAI view can show, as Minigrid's (object, colour, state).
CELL_KINDS = [
    (OBJECT_TO_IDX["unseen"], 0, 0),
    (OBJECT_TO_IDX["empty"], 0, 0),
    (OBJECT_TO_IDX["wall"], COLOR_TO_IDX["grey"], 0),
    *[(thing, colour, 0) for colour in (*COLOR_TO_IDX.values(), HIDDEN) for thing in THINGS],
    # A door is open, closed or locked.
    *product([OBJECT_TO_IDX["door"]], COLOR_TO_IDX.values(), range(3)),
]
# A cell as one integer is object + 16 colour + 128 state: a table from that to its kind.
_CELL_CODE = np.array([1, 16, 128], np.uint16)
_KIND_OF_CODE = np.full(2**16, 255, np.uint8)
_KIND_OF_CODE[np.array(CELL_KINDS) @ _CELL_CODE] = np.arange(len(CELL_KINDS))


def cell_kinds(observations):
    """Views uint8[..., 7, 7, 3] -> uint8[..., 49], which of CELL_KINDS each cell shows; 255 where
    no BabyAI level has such a cell."""
    # 16 bits hold every code, and a hundred thousand views at once stay small.
    kinds = _KIND_OF_CODE[observations @ _CELL_CODE]  # (..., 7, 7)
    return kinds.reshape(*kinds.shape[:-2], CELLS)


class Sizes(NamedTuple):
    """Sizes of a policy; fields of the same names in `paper_utils.config.Cloning` say what of."""

    width: int
    heads: int
    instruction_layers: int
    queries: int
    history_layers: int


class InstructionEncoder(nn.Module):
    """Words to one sentence embedding: a pre-norm transformer, then the mean over words."""

    def __init__(self, sizes):
        super().__init__()
        width = sizes.width
        self.words = nn.Embedding(len(WORDS), width, padding_idx=PAD)
        self.positions = nn.Embedding(MAX_WORDS, width)
        # Positions as loud as words: who is put next to whom is a matter of order.
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.normal_(self.positions.weight, std=0.5)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                sizes.heads,
                dim_feedforward=2 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(sizes.instruction_layers)
        )
        self.norm = nn.LayerNorm(width)

    def states(self, tokens):
        """Word states (B, L, C): each word, having seen the others."""
        x = self.words(tokens) + self.positions.weight[: tokens.shape[1]]  # (B, L, C)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=tokens == PAD)  # (B, L, C)
        return x

    def forward(self, tokens):
        """Tokens int64 (B, L) -> sentence embeddings (B, C)."""
        # The mean over the words of each sentence, padding left out.
        mask = (tokens != PAD).unsqueeze(-1)  # (B, L, 1)
        summed = (self.states(tokens) * mask).sum(-2)  # (B, C)
        return self.norm(summed / mask.sum(-2))


class CellAttention(nn.Module):
    """Query vectors attend over the 49 visible cells; each query is one head of full width.

    Keys and values are sums of embedding rows: object + colour + state + position.  So the score of
    a cell is that of its kind plus that of its position, and both are computed once, not 49 times:
    the same numbers as with 49 keys, for less work.
    """

    def __init__(self, width, queries):
        super().__init__()
        self.width = width
        self.queries = queries
        self.q_proj = nn.Linear(width, queries * width)
        # Each row is a key and a value.  One more colour than there are: that which is hidden.
        self.object = nn.Embedding(len(OBJECT_TO_IDX), 2 * width)
        self.colour = nn.Embedding(HIDDEN + 1, 2 * width)
        self.state = nn.Embedding(3, 2 * width)
        self.position = nn.Embedding(CELLS, 2 * width)
        for table in (self.object, self.colour, self.state, self.position):
            nn.init.normal_(table.weight, std=0.5)
        self.out_proj = nn.Linear(queries * width, width)
        self.register_buffer("kinds", torch.tensor(CELL_KINDS), persistent=False)

    def forward(self, x, cells):
        """x (N, C), cells int64 (N, 49) -> what was read (N, C), attention (N, Q, 49)."""
        queries = self.q_proj(x) * self.width**-0.5  # (N, Q * C)
        queries = queries.view(-1, self.queries, self.width)  # (N, Q, C)
        objects, colours, states = self.kinds.T  # (K,) each
        rows = self.object(objects) + self.colour(colours) + self.state(states)  # (K, 2C)
        kind_keys, kind_values = rows.chunk(2, dim=1)  # (K, C)
        position_keys, position_values = self.position.weight.chunk(2, dim=1)  # (49, C)

        # A cell's score: that of what it shows, picked by its kind, and that of where it is.
        index = cells.unsqueeze(1).expand(-1, self.queries, -1)  # (N, Q, 49)
        kind_scores = queries @ kind_keys.T  # (N, Q, K)
        position_scores = queries @ position_keys.T  # (N, Q, 49)
        attention = (kind_scores.gather(2, index) + position_scores).softmax(-1)  # (N, Q, 49)

        # The values likewise: attention is summed over the cells of a kind before values are.
        on_kinds = torch.zeros_like(kind_scores).scatter_add(2, index, attention)  # (N, Q, K)
        read = on_kinds @ kind_values + attention @ position_values  # (N, Q, C)
        return self.out_proj(read.flatten(1)), attention


class CausalBlock(nn.Module):
    """A pre-norm causal transformer layer over the steps of an episode.

    Recency is a linear penalty per head (ALiBi: Press et al., 2022) in place of positions, so that
    an episode may outlast every demonstration.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        # The paper's slopes: from head to head a longer memory, the last the longest.
        slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)  # (H,)
        self.register_buffer("slopes", slopes.view(1, heads, 1, 1), persistent=False)

    def forward(self, x, kv_cache=None):
        """x (B, T, C), which follows on the P steps of ``kv_cache`` (2, B, H, P, C / H), to
        (B, T, C) and the cache with x in it, (2, B, H, P + T, C / H)."""
        batch, steps, _ = x.shape
        qkv = self.qkv_proj(self.norm_attention(x))  # (B, T, 3C)
        qkv = qkv.view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        kv = qkv[1:]  # (2, B, H, T, C / H)
        if kv_cache is not None:
            kv = torch.cat([kv_cache, kv], dim=3)  # (2, B, H, P + T, C / H)
        times = torch.arange(kv.shape[3], device=x.device)  # (P + T,)
        ago = times[-steps:].unsqueeze(1) - times  # (T, P + T): how many steps ago
        bias = -self.slopes * ago  # (1, H, T, P + T)
        bias = bias.masked_fill(ago < 0, -torch.inf)  # the future is not attended to
        mixed = F.scaled_dot_product_attention(qkv[0], *kv, attn_mask=bias)  # (B, H, T, C / H)
        x = x + self.out_proj(mixed.transpose(1, 2).flatten(2))  # (B, T, C)
        return x + self.mlp(self.norm_mlp(x)), kv


class Policy(nn.Module):
    """Instruction-following policy for BabyAI, cloned from scratch.

    inputs        instruction (words); per step the 7 x 7 view and the previous action
    language      words -> transformer -> mean -> **one sentence embedding** (width); nothing else
                  of the instruction reaches the rest, so this is the vector that is compared
    seeing        sentence + previous action -> ``queries`` vectors that attend over the 49 cells
    memory        causal transformer over the steps so far
    output        logits over 7 actions (the seventh, "done", is never demonstrated)
    not given     absolute position, compass, the whole grid, reward, pretrained weights

    ``sizes``: a `Sizes`, or a profile's ``cloning``, which has the same fields.

    >>> policy = Policy(Sizes(32, heads=2, instruction_layers=1, queries=2, history_layers=1))
    >>> policy.embed(["go to the red ball", "open the blue door"]).shape
    (2, 32)
    """

    def __init__(self, sizes):
        super().__init__()
        self.sizes = Sizes(*[getattr(sizes, name) for name in Sizes._fields])
        width = sizes.width
        self.instruction = InstructionEncoder(self.sizes)
        self.previous = nn.Embedding(START + 1, width)
        self.cell_attention = CellAttention(width, sizes.queries)
        self.history = nn.ModuleList(
            CausalBlock(width, sizes.heads) for _ in range(sizes.history_layers)
        )
        self.action_head = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, len(ACTIONS)),
        )

    def forward(self, sentence, cells, previous, kv_cache=()):
        """Logits (B, T, 7), the cache to hand in with the next steps (one tensor for each layer of
        history), and the attention over the cells (B, T, Q, 49).

        ``sentence`` (B, C), ``cells`` int64 (B, T, 49), ``previous`` actions int64 (B, T).
        """
        x = sentence.unsqueeze(1) + self.previous(previous)  # (B, T, C)
        read, attention = self.cell_attention(x.flatten(0, 1), cells.flatten(0, 1))
        x = x + read.view_as(x)  # (B, T, C)
        extended = []
        for block, cache in zip_longest(self.history, kv_cache):
            x, cache = block(x, cache)  # (B, T, C)
            extended.append(cache)
        return self.action_head(x), extended, attention.unflatten(0, previous.shape)

    def tokenize(self, texts):
        """Instructions -> word numbers int64[N, L], filled up with PAD on the right.

        Raises ValueError on a word that is not among WORDS.
        """
        rows = []
        for text in texts:
            words = text.replace(",", " ,").split()
            if not 0 < len(words) <= MAX_WORDS or not set(words) <= set(WORDS):
                raise ValueError(f"not an instruction that this policy knows: {text!r}")
            rows.append(torch.tensor([*map(WORDS.index, words)]))
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    @torch.inference_mode()
    def embed(self, texts):
        """Instructions -> float32[N, width], row i for ``texts[i]``: the sentence embedding that
        the policy acts on.  Raises ValueError on an unknown word."""
        return self.instruction(self.tokenize(texts)).numpy()

    def save(self, folder):
        """Writes policy.safetensors (weights) and policy.json (sizes)."""
        save_file(self.state_dict(), folder / "policy.safetensors")
        (folder / "policy.json").write_text(json.dumps(self.sizes._asdict(), indent=1) + "\n")

    @classmethod
    def load(cls, folder):
        """The policy that `save` wrote into a folder, ready to act."""
        policy = cls(Sizes(**read_json(folder / "policy.json")))
        policy.load_state_dict(load_file(folder / "policy.safetensors"))
        return policy.eval()


class GreedyPolicy:
    """Takes a policy's most probable actions in B episodes side by side.

    ``sentences`` float32[B, width]: the vector to act on in each, the policy's own or another.
    """

    def __init__(self, policy, sentences, hide_colours=False):
        self.policy = policy
        self.sentences = torch.as_tensor(sentences, dtype=torch.float32)
        self.hide_colours = hide_colours
        self.running = np.arange(len(self.sentences))
        self.previous = torch.full((len(self.sentences), 1), START)
        self.kv_cache = []

    @torch.inference_mode()
    def __call__(self, observations, running):
        # Most episodes end early; who waits for the last ones need not compute for all.
        if len(running) < len(self.running):
            keep = np.isin(self.running, running)  # (B,)
            self.running = running
            self.sentences = self.sentences[keep]
            self.previous = self.previous[keep]
            self.kv_cache = [cache[:, keep] for cache in self.kv_cache]
        if self.hide_colours:
            observations = hide_colours(observations)
        cells = torch.from_numpy(cell_kinds(observations)).long()  # (B, 49)
        logits, self.kv_cache, _ = self.policy(
            self.sentences, cells.unsqueeze(1), self.previous, self.kv_cache
        )
        self.previous = logits.argmax(-1)  # (B, 1)
        return self.previous[:, 0].numpy()
