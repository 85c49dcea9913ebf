"""The transformer architectures; one more is a small configuration and an entry in FAMILIES."""

from itertools import chain
from pathlib import PurePath
from typing import NamedTuple

from paper_utils.config import hint, register

# Special tokens of the tokenizer trained here; the position of a token is its id.
# CLIP would misread an EOS whose id is 2.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]")
PAD, UNK, CLS, SEP, MASK, BOS, EOS = range(len(SPECIAL))
CONTEXT = 128  # tokens that a model trained from scratch can read at once
PATCH = 8  # pixels along the side of a vision patch: one cell of a rendered view


class Family(NamedTuple):
    """How to build an architecture small, and how to read text with it.

    ``model`` and ``tower`` name classes of ``transformers``: what is trained from scratch, and what
    reads the text of a checkpoint."""

    label: str
    model: str
    model_types: tuple  # names in config.json of its checkpoints
    modality: str = "language"  # or vision-language
    objective: str = "next token"  # a key of OBJECTIVES
    tower: str = "AutoModel"
    pooling: str = "mean"  # or last, or cls: how states become one vector, fixed beforehand
    template: str = "[BOS] $A"  # special tokens around a text, of a tokenizer trained here
    text_path: str = ""  # weights of the tower (a regular expression) that reading text needs
    encoder: str = ""  # attribute of the tower with hidden states; "": the tower itself

    @property
    def is_decoder(self):
        """Whether it reads from left to right, to say the next token."""
        return self.objective == "next token"

    def fixed_layer(self, blocks):
        """The layer that is compared, fixed beforehand: block ceil(L / 2) of a decoder's L.

        A decoder's last layers serve the next word rather than the sentence (Skean et al., arXiv
        2502.02013; the opposite view: arXiv 2606.02750).  All others are read at block L, where
        their own training reads them.

        >>> FAMILIES["llama"].fixed_layer(2), FAMILIES["llama"].fixed_layer(30)
        (1, 15)
        >>> FAMILIES["bert"].fixed_layer(12)
        12
        """
        return (blocks + 1) // 2 if self.is_decoder else blocks


FAMILIES = {
    "llama": Family("LLaMA", "LlamaForCausalLM", ("llama",)),
    "qwen": Family("Qwen", "Qwen3ForCausalLM", ("qwen3", "qwen2")),
    "deepseek": Family("DeepSeek", "DeepseekV3ForCausalLM", ("deepseek_v3", "deepseek_v2")),
    "bert": Family(
        "BERT",
        "BertForMaskedLM",
        ("bert",),
        objective="masked token",
        tower="BertModel",
        template="[CLS] $A [SEP]",
        # Its pooler is random in many checkpoints, and never read.
        text_path=r"^(?!pooler\.)",
    ),
    "clip": Family(
        "CLIP",
        "CLIPModel",
        ("clip",),
        modality="vision-language",
        objective="contrastive",
        tower="CLIPTextModelWithProjection",
        pooling="last",  # the EOS with which it ends every text
        template="[BOS] $A [EOS]",
        encoder="text_model",
    ),
    # Not BlipModel: it names its text weights otherwise, and would leave them random.
    "blip": Family(
        "BLIP",
        "BlipForImageTextRetrieval",
        ("blip",),
        modality="vision-language",
        objective="contrastive and matching",
        tower="BlipForImageTextRetrieval",
        pooling="cls",
        template="[CLS] $A [SEP]",
        text_path=r"^text_encoder\.(?!pooler\.)",
        encoder="text_encoder",
    ),
}


def small_configuration(family, vocab_size, image_size, settings):
    """Fields of a configuration of a family, of the sizes that a profile names, for its class in
    ``transformers``."""
    width = settings.width
    heads = settings.heads
    block = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": settings.layers,
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
    vision = block | {
        # Half as deep: a picture has more tokens than its caption, and simpler ones.
        "num_hidden_layers": max(1, settings.layers // 2),
        "image_size": image_size,
        "patch_size": PATCH,
    }
    head = width // heads
    shared = {"projection_dim": width}
    return {
        # These leave input and output embeddings untied, as large models do: the layers then keep
        # what a word means.
        "llama": text,
        # Two heads share their keys and values, where the number of heads allows it.
        "qwen": text
        | {"num_key_value_heads": heads if heads % 2 else heads // 2, "head_dim": head},
        # Keys and values through a bottleneck of half the width; after a dense first layer, one
        # shared expert and two of four routed ones.
        "deepseek": text
        | {
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
        },
        # No dropout: the corpus is seen about once, there is nothing to overfit.
        "bert": bert | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "clip": {"text_config": text | shared, "vision_config": vision | shared} | shared,
        "blip": {
            "text_config": bert | {"encoder_hidden_size": width},
            "vision_config": vision,
            "image_text_hidden_size": width,
            "initializer_range": width**-0.5,
        },
    }[family]


def short_name(checkpoint):
    """What people call a checkpoint: the last part of its folder or Hub id.

    >>> short_name("Qwen/Qwen2.5-0.5B@main")
    'Qwen2.5-0.5B'
    """
    return PurePath(checkpoint.partition("@")[0]).name


def check(names):
    """Raises ValueError for the first that is no family."""
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"unknown family {name!r}{hint(name, FAMILIES)}")


def check_checkpoints(given):
    """Raises ValueError: an unknown family, or two checkpoints of one name."""
    check(given)
    names = [*map(short_name, chain(*given.values()))]
    # Tables know a model by its name alone.
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two checkpoints are called {name!r}")


# That there is a family, and each once, config.py checks.
register("encoders.families", check)
register("encoders.checkpoints", check_checkpoints)
