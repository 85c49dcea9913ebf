"""The transformer architectures that are compared with the agents.

To add one: a function with the fields of its small configuration, and an entry in ``FAMILIES``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from paper_utils.config import hint, register

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]")
"""Special tokens of the tokenizer trained here; the position of a token is its id."""
PAD, UNK, CLS, SEP, MASK, BOS, EOS = range(len(SPECIAL))  # CLIP would misread an EOS with id 2
CONTEXT = 128  # tokens that a model trained from scratch can read at once
UNTIED = {"tie_word_embeddings": False}  # as the large models of these families
PATCH = 8  # pixels along the side of a vision patch: one cell of a rendered view


class Size(NamedTuple):
    """What a profile decides about a model trained from scratch."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    image_size: int


def _transformer(size: Size, layers: int) -> dict[str, Any]:
    # The customary initializer_range of 0.02 suits widths near 1,000; narrow models hear nothing.
    return {"hidden_size": size.width, "intermediate_size": 4 * size.width,
            "num_hidden_layers": layers, "num_attention_heads": size.heads,
            "initializer_range": size.width**-0.5}  # fmt: skip


def _text(size: Size, first: int = BOS, last: int = EOS, **more: Any) -> dict[str, Any]:
    tokens = {"pad_token_id": PAD, "bos_token_id": first, "eos_token_id": last}
    shape = {"vocab_size": size.vocab_size, "max_position_embeddings": CONTEXT}
    return _transformer(size, size.layers) | shape | tokens | more


def _vision(size: Size, **more: Any) -> dict[str, Any]:
    # Half as deep: a picture has more tokens than its caption, and simpler ones.
    shape = {"image_size": size.image_size, "patch_size": PATCH}
    return _transformer(size, max(1, size.layers // 2)) | shape | more


def _qwen(size: Size) -> dict[str, Any]:
    grouped = size.heads // 2 if size.heads % 2 == 0 else size.heads
    heads = {"num_key_value_heads": grouped, "head_dim": size.width // size.heads}
    return _text(size, **UNTIED, **heads)


def _deepseek(size: Size) -> dict[str, Any]:
    head, half = size.width // size.heads, size.width // 2
    # Queries, keys and values pass through a latent bottleneck of half the width.  A dense first
    # layer, then one shared and four routed experts, two of these at a time.
    return _text(
        size, **UNTIED, num_key_value_heads=size.heads, q_lora_rank=half, kv_lora_rank=half,
        v_head_dim=head, qk_rope_head_dim=head // 2, qk_nope_head_dim=head // 2,
        first_k_dense_replace=1, n_routed_experts=4, num_experts_per_tok=2, n_group=1,
        topk_group=1, routed_scaling_factor=1.0, num_mtp_layers=0,
        moe_intermediate_size=2 * size.width,
    )  # fmt: skip


def _clip(size: Size) -> dict[str, Any]:
    shared = {"projection_dim": size.width}
    return {"text_config": _text(size, **shared), "vision_config": _vision(size, **shared)} | shared


def _blip(size: Size) -> dict[str, Any]:
    text = _text(size, CLS, SEP, encoder_hidden_size=size.width)
    shared = {"image_text_hidden_size": size.width, "initializer_range": size.width**-0.5}
    return {"text_config": text, "vision_config": _vision(size)} | shared


@dataclass(frozen=True)
class Family:
    """A transformer architecture: how to build it small, and how to read text with it.

    ``objective`` is a key of ``objectives.OBJECTIVES``; ``model`` the class of ``transformers``
    that is trained, ``tower`` the one that loads the text of a checkpoint, with ``options``.
    """

    name: str
    label: str
    model: str
    model_types: tuple[str, ...]  # in config.json of its checkpoints
    configure: Callable[[Size], dict[str, Any]] = field(repr=False)
    modality: str = "language"  # or vision-language
    objective: str = "next token"
    tower: str = "AutoModel"
    poolings: tuple[str, ...] = ("mean", "last")  # the first was fixed before any alignment
    template: tuple[int, int | None] = (BOS, None)  # tokens before and after a text, trained here
    unused: str = r"^lm_head\."  # weights (a regular expression) that reading text does not need
    text_path: str = ""  # weights of the tower that it does need
    options: dict[str, Any] = field(default_factory=dict)
    encoder: str | None = None  # attribute of the tower with hidden states; None: the tower itself
    projection: str | None = None  # attribute that maps to the space shared with images


FAMILIES: dict[str, Family] = {family.name: family for family in (
    Family("llama", "LLaMA", "LlamaForCausalLM", ("llama",),
           lambda size: _text(size, **UNTIED)),
    Family("qwen", "Qwen", "Qwen3ForCausalLM", ("qwen3", "qwen2"), _qwen),
    Family("deepseek", "DeepSeek", "DeepseekV3ForCausalLM", ("deepseek_v3", "deepseek_v2"),
           _deepseek),
    Family("bert", "BERT", "BertForMaskedLM", ("bert",),  # no dropout: the corpus is seen once
           lambda size: _text(size, CLS, SEP, hidden_dropout_prob=0.0,
                              attention_probs_dropout_prob=0.0),
           objective="masked token", tower="BertModel", poolings=("mean", "cls"),
           template=(CLS, SEP),
           unused=r"^cls\.|(^|\.)pooler\.", options={"add_pooling_layer": False}),
    Family("clip", "CLIP", "CLIPModel", ("clip",), _clip, objective="contrastive",
           tower="CLIPTextModelWithProjection", poolings=("pooled", "projected"),
           template=(BOS, EOS), unused=r"^vision_model\.|^visual_projection\.|^logit_scale$",
           encoder="text_model", projection="text_projection", modality="vision-language"),
    # Not BlipModel: it names its text weights otherwise, and would leave them random.
    Family("blip", "BLIP", "BlipForImageTextRetrieval", ("blip",), _blip,
           objective="contrastive and matching", tower="BlipForImageTextRetrieval",
           poolings=("cls", "projected"), template=(CLS, SEP),
           unused=r"^(?!text_encoder\.|text_proj\.)|^text_encoder\.pooler\.",
           text_path=r"^text_encoder\.|^text_proj\.", encoder="text_encoder",
           projection="text_proj", modality="vision-language"),
)}  # fmt: skip


def _check(names: Iterable[str]) -> None:
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"unknown family {name!r}{hint(name, FAMILIES)}")


register("encoders.families", _check)  # that there is one, and each once, config.py checks
register("encoders.checkpoints", _check)
