"""The transformer architectures; one more is a small configuration and an entry in FAMILIES."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from paper_utils.config import hint, register

# Special tokens of the tokenizer trained here; the position of a token is its id.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]")
PAD, UNK, CLS, SEP, MASK, BOS, EOS = range(len(SPECIAL))  # CLIP would misread an EOS with id 2
CONTEXT = 128  # tokens that a model trained from scratch can read at once
PATCH = 8  # pixels along the side of a vision patch: one cell of a rendered view


def configurations(vocab_size: int, width: int, layers: int, heads: int,
                   image_size: int) -> dict[str, dict]:  # fmt: skip
    """Fields of the small configuration of each family."""
    head, half, grouped = width // heads, width // 2, heads if heads % 2 else heads // 2
    # The customary initializer_range of 0.02 suits widths near 1,000; narrow models hear nothing.
    scale = {"initializer_range": width**-0.5}
    block = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
             "num_attention_heads": heads, **scale}  # fmt: skip
    text = {**block, "vocab_size": vocab_size, "max_position_embeddings": CONTEXT,
            "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}  # fmt: skip
    bert = {**text, "bos_token_id": CLS, "eos_token_id": SEP}
    # Untied, as the large models of these families: the layers then keep what a word means.
    llama, shared = {**text, "tie_word_embeddings": False}, {"projection_dim": width}
    # Half as deep: a picture has more tokens than its caption, and simpler ones.
    vision = {**block, "num_hidden_layers": max(1, layers // 2), "image_size": image_size,
              "patch_size": PATCH}  # fmt: skip
    return {
        "llama": llama,
        "qwen": {**llama, "num_key_value_heads": grouped, "head_dim": head},
        # Queries, keys and values pass through a latent bottleneck of half the width.  A dense
        # first layer, then one shared and four routed experts, two of these at a time.
        "deepseek": {
            **llama, "num_key_value_heads": heads, "q_lora_rank": half, "kv_lora_rank": half,
            "v_head_dim": head, "qk_rope_head_dim": head // 2, "qk_nope_head_dim": head // 2,
            "first_k_dense_replace": 1, "n_routed_experts": 4, "num_experts_per_tok": 2,
            "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0, "num_mtp_layers": 0,
            "moe_intermediate_size": 2 * width},
        # No dropout: the corpus is seen about once, there is nothing to overfit.
        "bert": {**bert, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "clip": {"text_config": text | shared, "vision_config": vision | shared, **shared},
        "blip": {"text_config": {**bert, "encoder_hidden_size": width}, "vision_config": vision,
                 "image_text_hidden_size": width, **scale}}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """How to build an architecture small and how to read text with it: the classes of
    ``transformers`` that are trained (``model``) and that read a checkpoint's text (``tower``)."""

    label: str
    model: str
    model_types: tuple[str, ...]  # in config.json of its checkpoints
    modality: str = "language"  # or vision-language
    objective: str = "next token"  # a key of OBJECTIVES
    tower: str = "AutoModel"
    poolings: tuple[str, ...] = ("mean", "last")  # the first was fixed before any alignment
    template: str = "[BOS] $A"  # special tokens around a text, of a tokenizer trained here
    unused: str = r"^lm_head\."  # weights (a regular expression) that reading text does not need
    text_path: str = ""  # weights of the tower that it does need
    options: dict = field(default_factory=dict)
    encoder: str | None = None  # attribute of the tower with hidden states; None: the tower itself
    projection: str | None = None  # attribute that maps to the space shared with images


FAMILIES: dict[str, Family] = {
    "llama": Family("LLaMA", "LlamaForCausalLM", ("llama",)),
    "qwen": Family("Qwen", "Qwen3ForCausalLM", ("qwen3", "qwen2")),
    "deepseek": Family("DeepSeek", "DeepseekV3ForCausalLM", ("deepseek_v3", "deepseek_v2")),
    "bert": Family("BERT", "BertForMaskedLM", ("bert",), "language", "masked token", "BertModel",
                   ("mean", "cls"), "[CLS] $A [SEP]", unused=r"^cls\.|(^|\.)pooler\.",
                   options={"add_pooling_layer": False}),
    "clip": Family("CLIP", "CLIPModel", ("clip",), "vision-language", "contrastive",
                   "CLIPTextModelWithProjection", ("pooled", "projected"), "[BOS] $A [EOS]",
                   unused=r"^vision_model\.|^visual_projection\.|^logit_scale$",
                   encoder="text_model", projection="text_projection"),
    # Not BlipModel: it names its text weights otherwise, and would leave them random.
    "blip": Family("BLIP", "BlipForImageTextRetrieval", ("blip",), "vision-language",
                   "contrastive and matching", "BlipForImageTextRetrieval", ("cls", "projected"),
                   "[CLS] $A [SEP]", text_path=r"^text_encoder\.|^text_proj\.",
                   unused=r"^(?!text_encoder\.|text_proj\.)|^text_encoder\.pooler\.",
                   encoder="text_encoder", projection="text_proj")}  # fmt: skip


def check(names: Iterable[str]) -> None:
    """Raises ValueError for the first that is no family."""
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"unknown family {name!r}{hint(name, FAMILIES)}")


register("encoders.families", check)  # that there is one, and each once, config.py checks
register("encoders.checkpoints", check)
