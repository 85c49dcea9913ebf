"""For maintainers: runs the profile that notebooks open with from nothing, and publishes it.

python tools/publish.py           runs (it resumes), publishes, and builds the notebooks
"""

from paper_utils import notebooks, pipeline, run
from paper_utils.encoders.embedding import EMBEDDING
from paper_utils.store import MANIFEST, files_of, sync_folder
from paper_utils.study.appendix import LAYERS
from paper_utils.study.products import products

FIGURES = run.ROOT / "figures"


def make():
    """Runs the published profile, then publishes."""
    place = str(run.RUNS / run.DEFAULT)
    job = pipeline.Job.check(run.DEFAULT, overrides={"compute.published": False}, out=place)
    folder = pipeline.run(job)
    gather(products(job.profile), run.store_of(job.profile))
    # Speeds are written there by the benchmarks, not by a run.
    shown = [*(folder / "figures").iterdir(), folder / "results.json", *FIGURES.glob("speed.json")]
    sync_folder({path.name: path.read_bytes() for path in shown}, FIGURES, files_of(FIGURES))
    notebooks.build()


def closure(wanted):
    """Products, and the embeddings that they were made from: with these anyone can go on."""
    found = list(wanted)
    for stage, profile, parameters in wanted:
        # A model's layers are many, for one table of the appendix.
        for needed, own in [] if stage is LAYERS else stage.needs(profile, **parameters):
            # Who was never trained is embedded again in a moment.
            if needed is EMBEDDING and own["encoder"]["trained"]:
                found.append((needed, profile, own))
    return found


def gather(wanted, store):
    """Fills artifacts/published with what notebooks load."""
    files = {}
    for product in closure(wanted):
        source = store.find(*product)
        for name in [*files_of(source), MANIFEST]:
            path = source / name
            files[path.relative_to(store.root).as_posix()] = path.read_bytes()
    # The cards are written by hand.
    files |= {path.name: path.read_bytes() for path in run.PUBLISHED.glob("*.md")}
    sync_folder(files, run.PUBLISHED, files_of(run.PUBLISHED))


if __name__ == "__main__":
    make()
