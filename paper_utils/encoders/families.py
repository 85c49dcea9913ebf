"""The transformer architectures; one more is a small configuration and an entry in FAMILIES."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath

from paper_utils.config import hint, register

# Special tokens of the tokenizer trained here; the position of a token is its id.
# CLIP would misread an EOS whose id is 2.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]")
PAD, UNK, CLS, SEP, MASK, BOS, EOS = range(len(SPECIAL))
CONTEXT = 128  # tokens that a model trained from scratch can read at once
PATCH = 8  # pixels along the side of a vision patch: one cell of a rendered view


@dataclass(frozen=True)
class Family:
    """How to build an architecture small, and how to read text with it.

    ``model`` and ``tower`` name classes of ``transformers``: what is trained from scratch, and what
    reads the text of a checkpoint."""

    label: str
    model: str
    model_types: tuple[str, ...]  # in config.json of its checkpoints
    modality: str = "language"  # or vision-language
    objective: str = "next token"  # a key of OBJECTIVES
    tower: str = "AutoModel"
    poolings: tuple[str, ...] = ("mean", "last")  # the first was fixed before any comparison
    template: str = "[BOS] $A"  # special tokens around a text, of a tokenizer trained here
    unused: str = r"^lm_head\."  # weights (a regular expression) that reading text does not need
    text_path: str = ""  # weights of the tower that it does need
    options: dict = field(default_factory=dict)
    encoder: str | None = None  # attribute of the tower with hidden states; None: the tower itself
    projection: str | None = None  # attribute that maps to the space shared with images

    @property
    def is_decoder(self) -> bool:
        """Whether it reads from left to right, to say the next token."""
        return self.objective == "next token"

    def fixed_layer(self, blocks: int) -> int | None:
        """The layer that is compared, fixed beforehand: block ceil(L / 2) of a decoder's L.

        A decoder's last layers serve the next word rather than the sentence (Skean et al., arXiv
        2502.02013; the opposite view: arXiv 2606.02750).  None for all others: they are read where
        their own training reads them.

        >>> FAMILIES["llama"].fixed_layer(2), FAMILIES["llama"].fixed_layer(30)
        (1, 15)
        >>> FAMILIES["bert"].fixed_layer(12) is None
        True
        """
        return math.ceil(blocks / 2) if self.is_decoder else None


FAMILIES: dict[str, Family] = {
    "llama": Family(label="LLaMA", model="LlamaForCausalLM", model_types=("llama",)),
    "qwen": Family(label="Qwen", model="Qwen3ForCausalLM", model_types=("qwen3", "qwen2")),
    "deepseek": Family(
        label="DeepSeek", model="DeepseekV3ForCausalLM", model_types=("deepseek_v3", "deepseek_v2")
    ),
    "bert": Family(
        label="BERT",
        model="BertForMaskedLM",
        model_types=("bert",),
        objective="masked token",
        tower="BertModel",
        poolings=("mean", "cls"),
        template="[CLS] $A [SEP]",
        unused=r"^cls\.|(^|\.)pooler\.",
        options={"add_pooling_layer": False},
    ),
    "clip": Family(
        label="CLIP",
        model="CLIPModel",
        model_types=("clip",),
        modality="vision-language",
        objective="contrastive",
        tower="CLIPTextModelWithProjection",
        poolings=("pooled", "projected"),
        template="[BOS] $A [EOS]",
        unused=r"^vision_model\.|^visual_projection\.|^logit_scale$",
        encoder="text_model",
        projection="text_projection",
    ),
    # Not BlipModel: it names its text weights otherwise, and would leave them random.
    "blip": Family(
        label="BLIP",
        model="BlipForImageTextRetrieval",
        model_types=("blip",),
        modality="vision-language",
        objective="contrastive and matching",
        tower="BlipForImageTextRetrieval",
        poolings=("cls", "projected"),
        template="[CLS] $A [SEP]",
        text_path=r"^text_encoder\.|^text_proj\.",
        unused=r"^(?!text_encoder\.|text_proj\.)|^text_encoder\.pooler\.",
        encoder="text_encoder",
        projection="text_proj",
    ),
}


def small_configuration(
    family: str, vocab_size: int, width: int, layers: int, heads: int, image_size: int
) -> dict:
    """Fields of a small configuration of a family, for its class in ``transformers``."""
    block = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        # The customary 0.02 suits widths near 1,000; narrow models would hear nothing.
        "initializer_range": width**-0.5,
    }
    text = block | {
        "vocab_size": vocab_size,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    bert = text | {"bos_token_id": CLS, "eos_token_id": SEP}
    # Untied, as the large models of these families: the layers then keep what a word means.
    decoder = text | {"tie_word_embeddings": False}
    vision = block | {
        # Half as deep: a picture has more tokens than its caption, and simpler ones.
        "num_hidden_layers": max(1, layers // 2),
        "image_size": image_size,
        "patch_size": PATCH,
    }
    if family == "llama":
        return decoder
    if family == "qwen":
        # Two heads share their keys and values, where the number of heads allows it.
        shared = heads if heads % 2 else heads // 2
        return decoder | {"num_key_value_heads": shared, "head_dim": width // heads}
    if family == "deepseek":
        return decoder | _bottleneck_and_experts(width, heads)
    if family == "bert":
        # No dropout: the corpus is seen about once, there is nothing to overfit.
        return bert | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if family == "clip":
        projection = {"projection_dim": width}
        parts = {"text_config": text | projection, "vision_config": vision | projection}
        return parts | projection
    return {
        "text_config": bert | {"encoder_hidden_size": width},
        "vision_config": vision,
        "image_text_hidden_size": width,
        "initializer_range": width**-0.5,
    }


def _bottleneck_and_experts(width: int, heads: int) -> dict:
    """What DeepSeek has beside LLaMA: queries, keys and values pass through a latent bottleneck of
    half the width; after a dense first layer, one shared expert and two of four routed ones."""
    head = width // heads
    return {
        "num_key_value_heads": heads,
        "q_lora_rank": width // 2,
        "kv_lora_rank": width // 2,
        "v_head_dim": head,
        "qk_rope_head_dim": head // 2,
        "qk_nope_head_dim": head // 2,
        "first_k_dense_replace": 1,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "routed_scaling_factor": 1.0,
        "num_mtp_layers": 0,
        "moe_intermediate_size": 2 * width,
    }


def check(names: Iterable[str]) -> None:
    """Raises ValueError for the first that is no family."""
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"unknown family {name!r}{hint(name, FAMILIES)}")


def short_name(checkpoint: str) -> str:
    """What people call a checkpoint: the last part of its folder or Hub id.

    >>> short_name("Qwen/Qwen2.5-0.5B@main")
    'Qwen2.5-0.5B'
    """
    return PurePath(checkpoint.partition("@")[0]).name


def check_checkpoints(given: dict[str, Iterable[str]]) -> None:
    """Raises ValueError: an unknown family, one without a checkpoint, two of one name."""
    check(given)
    taken = set()
    for family, checkpoints in given.items():
        if not checkpoints:
            raise ValueError(f"{family}: name at least one checkpoint")
        for name in map(short_name, checkpoints):
            if name in taken:
                raise ValueError(f"{family}: two checkpoints are called {name!r}")
            taken.add(name)


# That there is a family, and each once, config.py checks.
register("encoders.families", check)
register("encoders.checkpoints", check_checkpoints)
