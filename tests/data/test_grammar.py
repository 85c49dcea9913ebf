import pytest

from paper_utils.data import grammar, levels

# Level: (with a/the, canonical). Counted by hand from the mission generators.
COUNTS = {
    "GoToObj": (18, 18),
    "GoToLocal": (36, 18),
    "PickupDist": (36, 27),
    "PickupLoc": (210, 105),
    "OpenDoor": (14, 10),
    "ActionObjDoor": (60, 48),
    "PutNextLocal": (306, 306),
    "Synth": (2464, 644),
    "SynthLoc": (59360, 14980),
}


@pytest.mark.parametrize(("level", "counts"), COUNTS.items())
def test_counts(level, counts):
    found = tuple(len(grammar.instructions([level], articles=flag)) for flag in (True, False))
    assert found == counts


@pytest.mark.parametrize("level", grammar.GRAMMARS)
def test_every_mission_is_in_the_table(level):
    known = set(grammar.instructions([level], articles=True)["text"])
    canonical = set(grammar.instructions([level])["text"])
    env = levels.make(level)
    for seed in range(60):
        env.reset(seed=seed)
        assert env.mission in known
        assert grammar.canonical(env.mission) in canonical


def test_factors_rebuild_the_text():
    table = grammar.instructions(["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"])
    assert len(table) == 439 and table["id"].tolist() == list(range(439))
    assert not table["text"].duplicated().any()
    for row in table.itertuples():
        slots = iter([row.colour, row.type, row.location])
        assert row.template.startswith(row.verb)
        assert all(word in row.text for word in slots if word not in ("", "front", "behind"))
        assert row.words == len(row.text.split())
    swap = table[table["text"] == "put the red ball next to the blue key"].iloc[0]
    assert (swap["colour"], swap["type"]) == ("red", "ball")
    assert (swap["second_colour"], swap["second_type"]) == ("blue", "key")


def test_levels_that_chain_clauses_are_refused():
    with pytest.raises(grammar.GrammarError, match="not listed"):
        grammar.instructions(["BossLevel"])


NAMES = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]


@pytest.mark.parametrize("table", grammar.SECOND_NAMES)
def test_second_names_are_another_language_for_the_same_things(table):
    rows = grammar.instructions(NAMES, second=table)
    assert not rows["second_text"].duplicated().any()
    first, second = (set(" ".join(rows[c]).split()) for c in ("text", "second_text"))
    assert first & second == {"the"}
    back = {name: phrase for phrase, name in grammar.SECOND_NAMES[table].items()}
    for text, other in zip(rows["text"], rows["second_text"]):
        assert " ".join(back.get(word, word) for word in other.split()) == text
    assert grammar.second_names(dict(grammar.SECOND_NAMES[table])) == grammar.SECOND_NAMES[table]


def test_open_is_renamed_where_it_is_a_verb():
    table = grammar.SECOND_NAMES["default"]
    for text, renamed in (
        ("you open the red door .", "you unseal the crimson gate ."),
        ("now the red door is open . you pick it up", "now the crimson gate is open . you grab it"),
        ("the red door is open and you can", "the crimson gate is open and you can"),
    ):
        assert grammar.rename(text, table) == renamed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"red": "green"}, "'green', for 'red', is not one new word"),
        ({"red": "dark red"}, "is not one new word"),
        ({"red": "azure"}, "two words have the same second name"),
        ({"pink": "rose"}, "'pink' has no second name to give"),
        (None, "'box' has no second name"),
    ],
)
def test_tables_that_would_tie_the_languages_are_refused(change, message):
    table = dict(grammar.SECOND_NAMES["default"])
    if change is None:
        del table["box"]
    else:
        table |= change
    with pytest.raises(ValueError, match=message) as caught:
        grammar.second_names(table)
    assert "\n" not in str(caught.value)


def test_a_dialect_is_drawn_for_whole_episodes():
    texts, table = ["pick up the red ball"] * 400, grammar.SECOND_NAMES["default"]
    drawn = grammar.dialect(texts, range(400), table)
    assert set(drawn) == {"pick up the red ball", "grab the crimson sphere"}
    assert 150 < sum(text.startswith("grab") for text in drawn) < 250
    assert drawn == grammar.dialect(texts, range(400), table)


def test_gym_ids_are_names_as_well():
    ids = [f"BabyAI-{name}-v0" for name in NAMES]
    assert grammar.instructions(ids).equals(grammar.instructions(NAMES))
