"""The transformer architectures that are compared with the agents.

To add one: a function with the fields of its small configuration, and an entry in ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from paper_utils.config import hint, register

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]")
"""Special tokens of the tokenizer trained here; the position of a token is its id."""
PAD, UNK, CLS, SEP, MASK, BOS, EOS = range(len(SPECIAL))  # CLIP would misread an EOS with id 2
CONTEXT = 128
"""Tokens that a model trained from scratch can read at once."""
PATCH = 8
"""Pixels along the side of a vision patch: one cell of a rendered view."""


class Size(NamedTuple):
    """What a profile decides about a model trained from scratch."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    image_size: int


def _transformer(size: Size) -> dict[str, Any]:
    return {
        "hidden_size": size.width,
        "intermediate_size": 4 * size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        # The customary 0.02 suits widths near 1,000; narrow models hear nothing through it.
        "initializer_range": size.width**-0.5,
    }


def _text(size: Size, first: int = BOS, last: int = EOS) -> dict[str, Any]:
    tokens = {"pad_token_id": PAD, "bos_token_id": first, "eos_token_id": last}
    shape = {"vocab_size": size.vocab_size, "max_position_embeddings": CONTEXT}
    return _transformer(size) | shape | tokens


def _vision(size: Size) -> dict[str, Any]:
    # Half as deep: a picture has more tokens than its caption, and simpler ones.
    shallow = _transformer(size._replace(layers=max(1, size.layers // 2)))
    return shallow | {"image_size": size.image_size, "patch_size": PATCH}


def _llama(size: Size) -> dict[str, Any]:
    return _text(size) | {"tie_word_embeddings": True}


def _qwen(size: Size) -> dict[str, Any]:
    grouped = size.heads // 2 if size.heads % 2 == 0 else size.heads
    return _llama(size) | {"num_key_value_heads": grouped, "head_dim": size.width // size.heads}


def _deepseek(size: Size) -> dict[str, Any]:
    head = size.width // size.heads
    # Queries, keys and values pass through a latent bottleneck of half the width.
    latent = {"q_lora_rank": size.width // 2, "kv_lora_rank": size.width // 2, "v_head_dim": head}
    halves = {"qk_rope_head_dim": head // 2, "qk_nope_head_dim": head // 2}
    # A dense first layer, then one shared and four routed experts, two of these at a time.
    experts = {"first_k_dense_replace": 1, "n_routed_experts": 4, "num_experts_per_tok": 2}
    routing = {"n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0, "num_mtp_layers": 0}
    heads = {"num_key_value_heads": size.heads, "moe_intermediate_size": 2 * size.width}
    return _llama(size) | latent | halves | experts | routing | heads


def _bert(size: Size) -> dict[str, Any]:
    # No dropout: the corpus is seen about once, there is nothing to overfit.
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return _text(size, CLS, SEP) | dropout


def _clip(size: Size) -> dict[str, Any]:
    shared = {"projection_dim": size.width}
    return {"text_config": _text(size) | shared, "vision_config": _vision(size) | shared} | shared


def _blip(size: Size) -> dict[str, Any]:
    text = _text(size, CLS, SEP) | {"encoder_hidden_size": size.width}
    configs = {"text_config": text, "vision_config": _vision(size)}
    return configs | {"image_text_hidden_size": size.width, "initializer_range": size.width**-0.5}


@dataclass(frozen=True)
class Family:
    """A transformer architecture: how to build it small, and how to read text with it."""

    name: str
    label: str
    modality: str
    """``language`` or ``vision-language``."""
    objective: str
    """What it learns from scratch; a key of ``objectives.OBJECTIVES``."""
    configure: Callable[[Size], dict[str, Any]] = field(repr=False)
    """Fields of the configuration of the small model."""
    model: str
    """Class of ``transformers`` that is trained."""
    tower: str
    """Class of ``transformers`` that loads the text path of a checkpoint."""
    poolings: tuple[str, ...]
    """Ways to make one vector of a text; the first was fixed before looking at alignment."""
    template: tuple[int, int | None]
    """Special tokens before and after a text, in the tokenizer trained here."""
    model_types: tuple[str, ...]
    """``model_type`` in config.json of checkpoints of this family."""
    unused: str
    """Regular expression: weights of a checkpoint that reading text does not need."""
    text_path: str = ""
    """Regular expression: weights of the tower that reading text does need."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the tower's ``from_pretrained``."""
    encoder: str | None = None
    """Attribute of the tower that gives hidden states; None is the tower itself."""
    projection: str | None = None
    """Attribute of the tower that maps the pooled state to the space shared with images."""


_DECODER: dict[str, Any] = {
    "modality": "language",
    "objective": "next token",
    "tower": "AutoModel",
    "poolings": ("mean", "last"),
    "template": (BOS, None),
    "unused": r"^lm_head\.",
}
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "llama",
            "LLaMA",
            configure=_llama,
            model="LlamaForCausalLM",
            model_types=("llama",),
            **_DECODER,
        ),  # fmt: skip
        Family(
            "qwen",
            "Qwen",
            configure=_qwen,
            model="Qwen3ForCausalLM",
            model_types=("qwen3", "qwen2"),
            **_DECODER,
        ),  # fmt: skip
        Family(
            "deepseek",
            "DeepSeek",
            configure=_deepseek,
            model="DeepseekV3ForCausalLM",
            model_types=("deepseek_v3", "deepseek_v2"),
            **_DECODER,
        ),  # fmt: skip
        Family(
            "bert",
            "BERT",
            "language",
            "masked token",
            _bert,
            "BertForMaskedLM",
            "BertModel",
            poolings=("mean", "cls"),
            template=(CLS, SEP),
            model_types=("bert",),
            unused=r"^cls\.|(^|\.)pooler\.",
            options={"add_pooling_layer": False},
        ),
        Family(
            "clip",
            "CLIP",
            "vision-language",
            "contrastive",
            _clip,
            "CLIPModel",
            "CLIPTextModelWithProjection",
            poolings=("pooled", "projected"),
            template=(BOS, EOS),
            model_types=("clip",),
            unused=r"^vision_model\.|^visual_projection\.|^logit_scale$",
            encoder="text_model",
            projection="text_projection",
        ),
        Family(
            # Not BlipModel: it names its text weights otherwise, and would leave them random.
            "blip",
            "BLIP",
            "vision-language",
            "contrastive and matching",
            _blip,
            "BlipForImageTextRetrieval",
            "BlipForImageTextRetrieval",
            poolings=("cls", "projected"),
            template=(CLS, SEP),
            model_types=("blip",),
            unused=r"^(?!text_encoder\.|text_proj\.)|^text_encoder\.pooler\.",
            text_path=r"^text_encoder\.|^text_proj\.",
            encoder="text_encoder",
            projection="text_proj",
        ),
    )
}


def _check(names: Iterable[str]) -> None:
    names = list(names)
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"unknown family {name!r}{hint(name, FAMILIES)}")
    if len(set(names)) < len(names):
        raise ValueError("name each family once")


def _check_trained(names: Iterable[str]) -> None:
    _check(names)
    if not names:
        raise ValueError("name at least one family")


register("encoders.families", _check_trained)
register("encoders.checkpoints", _check)
