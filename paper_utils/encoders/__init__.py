"""For notebook 03: every way in which an instruction becomes a vector.

``records`` says who is compared and ``embedding`` embeds; ``families`` are six architectures;
``scratch`` trains them for their ``objectives``; ``hub`` embeds with any checkpoint; ``public``
holds two public models' vectors; ``vectors`` reads a file; ``elsewhere`` helps these three.
Controls that only see words are in ``paper_utils.alignment.controls``."""
