"""Alignment among language, vision and action representations: a reproducible paper."""

from paper_utils.config import Profile, ProfileError

__all__ = ["Profile", "ProfileError"]
__version__ = "0.1.0"
