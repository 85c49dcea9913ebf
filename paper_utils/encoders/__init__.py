"""Room of notebook 03: every way in which an instruction becomes a vector.

``registry`` declares the encoders and embeds; ``families`` are the six architectures, ``scratch``
trains them on the narrated world (``objectives``: what each learns and is scored by); ``hub``
embeds texts with any checkpoint; ``vectors`` reads a file; ``lexical`` only sees words.
"""
