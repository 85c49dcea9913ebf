"""Every way in which an instruction becomes a vector: ``registry`` declares encoders and embeds;
``families`` are six architectures; ``scratch`` trains them for their ``objectives``; ``hub`` embeds
with any checkpoint; ``vectors`` reads a file; ``lexical`` only sees words."""
