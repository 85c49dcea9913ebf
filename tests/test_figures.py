"""What a figure is made of, where the eye would not notice."""

import numpy as np

from paper_utils import figures


def test_a_slider_shows_one_picture_and_holds_at_most_sixty():
    frames = list(np.random.default_rng(0).integers(0, 255, (70, 8, 8, 3), dtype=np.uint8))
    page = figures.slider(frames, [f"{n}: left" for n in range(70)])
    assert page.count("<img ") == 60 and 'max="60"' in page
    assert page.count("display:block") == 1 and page.count("display:none") == 59
