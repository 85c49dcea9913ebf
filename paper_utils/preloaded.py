"""What nearly every task imports, once: workers are copies of a process that has imported this."""

import torch
import transformers

from paper_utils.cloning import training  # noqa: F401
from paper_utils.encoders import objectives  # noqa: F401
from paper_utils.encoders.families import FAMILIES
from paper_utils.study import products  # noqa: F401

# The classes of transformers, and what torch's optimizers use, are imported when first asked for.
for family in FAMILIES.values():
    getattr(transformers, family.model)
torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
