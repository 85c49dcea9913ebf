"""Room of notebook 03: every way in which an instruction becomes a vector.

``families`` declares the encoders; ``lexical`` holds the controls that only see words;
``scratch`` trains the six reference models on the narrated world (``objectives`` says what each
learns and is scored by); ``hub`` embeds texts with any checkpoint, trained here or public;
``agent`` embeds instructions with a cloned policy.
"""
