"""A number that travels with what it has to be read against."""

from math import isfinite, nan

import numpy as np

from paper_utils.alignment.inference import p_value


class Score(float):
    """A measure's value with its chance, its null and its number of rows; a float, and a sentence.

    Attributes:
        measure: name of what was measured.
        chance: value without any agreement (k/n for precision@k).
        null: mean value over pairings that were permuted; NaN without permutations.
        p: share of pairings that score as high, one-sided; NaN without permutations.
        n: rows (or questions) that the value is a mean of.

    >>> score = Score(0.5, "precision@15", chance=0.05, n=300)
    >>> score
    precision@15 = 0.500 (chance 0.050, n = 300)
    >>> score + 0.25
    0.75
    """

    # The value of a float is set when it is made, and never again.
    def __new__(cls, value, measure="value", *, chance=nan, null=nan, p=nan, n=0):
        score = super().__new__(cls, value)
        score.measure = measure
        score.chance = chance
        score.null = null
        score.p = p
        score.n = n
        return score

    @classmethod
    def tested(cls, draws, measure, chance, n):
        """The first of ``draws`` (1 + K,) as a score, the K others as its null.

        >>> Score.tested([0.5, 0.1, 0.3], "order", 0.5, 20)
        order = 0.500 (chance 0.500, null 0.200, p = 0.33, n = 20)
        """
        value, *null = draws
        mean = float(np.mean(null)) if null else nan  # the mean of nothing would warn
        return cls(value, measure, chance=chance, null=mean, p=p_value(value, null), n=n)

    def __repr__(self) -> str:
        facts = f"n = {self.n}"
        # Without permutations there is no null to speak of.
        if isfinite(self.p):
            facts = f"null {self.null:.3f}, p = {self.p:.2g}, {facts}"
        if isfinite(self.chance):
            facts = f"chance {self.chance:.3f}, {facts}"
        return f"{self.measure} = {float(self):.3f} ({facts})"
