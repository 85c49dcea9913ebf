"""The same numbers as other libraries give, where these are installed: none is needed."""

from __future__ import annotations

import numpy as np
import pytest

from paper_utils import alignment
from paper_utils.alignment import inference
from tests.alignment.conftest import gaussians


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_linear_cka_is_that_of_repsim(shared):
    repsim = pytest.importorskip("repsim")
    X, Y = gaussians(60, (6, 9), shared=shared)
    # Its own cka divides by the biased HSIC of either side with itself.
    hsic = repsim.hsic([X, Y], "linear", "song")
    expected = hsic[0, 1] / np.sqrt(hsic[0, 0] * hsic[1, 1])
    assert alignment.linear_cka(X, Y) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_rsa_is_that_of_rsatoolbox(shared):
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    # Its correlation distance is a cosine distance of rows without their means.
    X, Y = (side - side.mean(axis=1, keepdims=True) for side in gaussians(40, shared=shared))
    tables = [calc_rdm(Dataset(side), method="correlation") for side in (X, Y)]
    expected = compare(*tables, method="spearman").item()
    assert alignment.rsa(X, Y) == pytest.approx(expected, abs=1e-9)


def test_calibration_is_that_of_calibrated_similarity():
    library = pytest.importorskip("calibrated_similarity")
    torch = pytest.importorskip("torch")
    X, Y = gaussians(40, (5, 7), shared=0.3)
    layers = [X, Y[:, :4], np.hstack([X, Y])]
    drawn = inference.pairings(40, 60, 0)[1:]

    waiting = iter(np.vstack([drawn, drawn]))

    def order(*_):
        return torch.as_tensor(next(waiting).copy())

    def similarity(one, other):
        return float(alignment.linear_cka(one.numpy(), other.numpy()))

    tensors = [torch.as_tensor(space) for space in layers]
    options = {"K": 60, "alpha": 0.05, "perm_fn": order}
    value, p, _ = library.calibrate(tensors[0], torch.as_tensor(Y), similarity, **options)
    score = alignment.linear_cka(X, Y, n_permutations=60)
    null = [alignment.linear_cka(X, Y[draw]) for draw in drawn]
    assert float(p) == pytest.approx(score.p)
    assert float(value) == pytest.approx(inference.calibrated(score, null), abs=1e-5)
    value, p, _ = library.calibrate_layers(tensors, [torch.as_tensor(Y)], similarity, **options)
    report = alignment.audit(layers, Y, n_permutations=60, effect=None)
    row = report.main[report.main["measure"] == "linear CKA"].iloc[0]
    assert float(p) == pytest.approx(row["p"])
    assert float(value) == pytest.approx(row["calibrated"], abs=1e-5)
