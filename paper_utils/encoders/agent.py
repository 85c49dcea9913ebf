"""Instruction embeddings of a cloned policy: its one sentence vector, or any layer's states."""

from __future__ import annotations

import numpy as np


def embed(texts: list[str], policy, layer: int | None = None) -> np.ndarray:
    """Texts -> float32[N, width], row i for ``texts[i]``.

    Arguments:
        policy: a ``cloning.policy.Policy``.
        layer: None for the sentence embedding that the policy acts on; 0 (word embeddings) to L
            for the mean over words of that layer's states.

    Raises:
        ValueError: a text that is not of the baby language, or a layer that is not there.
    """
    import torch

    from paper_utils.cloning.policy import tokenize

    tokens = tokenize(texts)
    encoder = policy.eval().instruction
    with torch.inference_mode():
        if layer is None:
            return encoder(tokens).numpy()
        states = encoder.states(tokens)  # (layers + 1, N, L, C)
        if not 0 <= layer < len(states):
            raise ValueError(f"layer {layer} is not among 0 to {len(states) - 1}")
        return encoder.pool(states[layer], tokens).numpy()
