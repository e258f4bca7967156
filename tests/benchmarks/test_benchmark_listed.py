"""Benchmarks that list comparisons of images: LFW, XQLFW, CR-FIQA, tables."""

import dataclasses
import unicodedata

import numpy as np
import pytest
from benchmarks.benchmark_writers import (
    LFW_PEOPLE,
    listed,
    person_picture,
    save,
    write_crfiqa,
    write_lfw,
    write_people,
)

from prefiqs_jax.benchmarks import read_benchmark
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import decode, load_batches


def stems(benchmark):
    """Give each comparison as the stems of its two images, and whether mated."""
    names = [
        name.rpartition("/")[2].rpartition(".")[0] for name in benchmark.images.names
    ]
    return [
        (names[a], names[b], bool(same))
        for a, b, same in zip(*listed(benchmark), strict=True)
    ]


def by_hand(line):
    words = line.split("\t")
    if len(words) == 3:
        name, i, j = words
        return f"{name}_000{i}", f"{name}_000{j}", True
    return f"{words[0]}_000{words[1]}", f"{words[2]}_000{words[3]}", False


def refusal(path, **how):
    with pytest.raises(InputError) as excinfo:
        read_benchmark(path, **how)
    message = str(excinfo.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("layout", ["folders", "flat"])
@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_lfw(tmp_path, layout, extension):
    lines = write_lfw(tmp_path, layout, extension, size=14)
    benchmark = read_benchmark(tmp_path)
    assert benchmark.kind == "lfw"
    assert benchmark.name == tmp_path.name
    assert stems(benchmark) == [by_hand(line) for line in lines[1:]]
    types = [each.dtype for each in listed(benchmark)]
    assert types == [np.int32, np.int32, bool]
    people = {name.rpartition("/")[2][:-9] for name in benchmark.images.names}
    assert set(benchmark.identities) == people <= set(LFW_PEOPLE)
    assert benchmark.images.identities == benchmark.identities
    assert benchmark.identity_source == "pairs.txt"
    assert benchmark.comparison_count == 12
    assert benchmark.mated_count == benchmark.non_mated_count == 6
    assert "pairs.txt was read as lfw" in benchmark.notes[0]


def test_lfw_leaves_out_what_is_not_compared(tmp_path):
    write_lfw(tmp_path, size=14)
    save(tmp_path / "lfw/Eve/Eve_0001.jpg", person_picture(9, 0, 14))
    benchmark = read_benchmark(tmp_path / "pairs.txt")
    assert "lfw/Eve" not in " ".join(benchmark.images.names)
    assert any("in no comparison" in note for note in benchmark.notes)
    used = {*listed(benchmark).first.tolist(), *listed(benchmark).second.tolist()}
    assert used == set(range(len(benchmark.images.names)))


def test_xqlfw_finds_its_pictures(tmp_path):
    write_lfw(tmp_path, size=14)
    (tmp_path / "lfw").rename(tmp_path / "xqlfw_aligned_112")
    (tmp_path / "pairs.txt").rename(tmp_path / "xqlfw_pairs.txt")
    benchmark = read_benchmark(tmp_path)
    assert benchmark.kind == benchmark.name == "xqlfw"
    assert benchmark.images.root == tmp_path / "xqlfw_aligned_112"
    assert "published with 6,000 and 3,000" in benchmark.notes[1]


def test_pictures_elsewhere(tmp_path):
    write_lfw(tmp_path, size=14)
    (tmp_path / "lfw").rename(tmp_path / "crops")
    assert "12 images" not in refusal(tmp_path / "absent")
    benchmark = read_benchmark(tmp_path, images=tmp_path / "crops")
    assert benchmark.images.root == tmp_path / "crops"


def edit(path, number, line):
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("number", "line", "reason"),
    [
        (1, "ten\t300", "line 1: 'ten.t300' is no header"),
        (1, "2\t4", "has 6 mated and 6 non-mated .* header says 8 of each"),
        (3, "Dee\t1\tx", "line 3: 'Dee.t1.tx' is not NAME I J"),
        (3, "Dee\t1", "line 3: 'Dee.t1' is not NAME"),
        (6, "Dee\t1\tDee\t2", "line 6: .* is not NAME I J .mated. or"),
        (3, "Dee\t1\t1", "compares Dee_0001 with itself"),
        (3, "Zoe\t1\t2", "names 2 images that .* not hold: Zoe_0001, Zoe_0002"),
    ],
)
def test_bad_lines_of_pairs_txt(tmp_path, number, line, reason):
    write_lfw(tmp_path, size=14)
    edit(tmp_path / "pairs.txt", number, line)
    with pytest.raises(InputError, match=reason) as excinfo:
        read_benchmark(tmp_path)
    assert "pairs.txt" in str(excinfo.value)
    assert len(str(excinfo.value).splitlines()) == 1


def test_pairs_txt_that_is_no_text(tmp_path):
    write_lfw(tmp_path, size=14)
    (tmp_path / "pairs.txt").write_bytes(b"1\t1\nJos\xe9\t1\t2\n")
    assert "pairs.txt is not UTF-8" in refusal(tmp_path)


def test_two_pictures_of_one_name(tmp_path):
    write_lfw(tmp_path, size=14)
    used = read_benchmark(tmp_path).images.names[0]
    save(tmp_path / "lfw" / used.replace(".jpg", ".png"), person_picture(0, 0, 14))
    assert "keep one of them" in refusal(tmp_path)


def drop_last(path):
    """Leave out the last comparison, so that not all pairs are listed."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    return lines[:-1]


def test_crfiqa_folder(tmp_path):
    write_crfiqa(tmp_path / "toy", size=14)
    lines = drop_last(tmp_path / "toy/pair_list.txt")
    benchmark = read_benchmark(tmp_path / "toy")
    assert (benchmark.kind, benchmark.name) == ("crfiqa", "toy")
    assert benchmark.images.names == tuple(f"{n:05d}.jpg" for n in range(6))
    words = [line.split() for line in lines]
    assert stems(benchmark) == [(a, b, bool(int(same))) for a, b, same in words]
    assert benchmark.identities == (None,) * 6
    assert benchmark.identity_source is None
    assert any("red and blue swapped" in note for note in benchmark.notes)


def test_crfiqa_folder_of_all_pairs(tmp_path):
    lines = write_crfiqa(tmp_path / "toy", size=14)
    benchmark = read_benchmark(tmp_path / "toy")
    assert benchmark.comparisons is None
    assert benchmark.comparison_count == len(lines) == 15
    assert benchmark.mated_count == sum(int(line.split()[2]) for line in lines) == 3
    people = tuple(f"group_{place // 2}" for place in range(6))
    assert benchmark.identities == benchmark.images.identities == people
    assert benchmark.identity_source == "mated comparisons"
    assert any("the 3 groups of mated images" in note for note in benchmark.notes)


def test_all_pairs_with_labels_that_contradict_stay_a_list(tmp_path):
    write_crfiqa(tmp_path, people=2, shots=3, size=14)
    path = tmp_path / "pair_list.txt"
    path.write_text(path.read_text().replace("00001 00002 00001", "00001 00002 0"))
    benchmark = read_benchmark(tmp_path)
    assert len(listed(benchmark).mated) == 15
    assert benchmark.identities == (None,) * 6


def test_crfiqa_names_with_extension(tmp_path):
    write_crfiqa(tmp_path, size=14)
    path = tmp_path / "pair_list.txt"
    words = [line.split() for line in drop_last(path)]
    before = stems(read_benchmark(tmp_path))
    path.write_text("".join(f"{a}.jpg {b}.jpg {int(same)}\n" for a, b, same in words))
    assert stems(read_benchmark(tmp_path)) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty; each line is: image other_image mated"),
        ("00000 00001 1\n\n00000 00002\n", "line 3: 2 columns in place of 3"),
        ("00000 00001 1\n00000 00002 0 0\n", "line 2: 4 columns in place of 3"),
        ("00000 00001 1\n00000 00002 2\n", "line 2: '2' is not 1 .mated. or 0"),
        ("00000 00001 1\n00000 00002 yes\n", "line 2: 'yes' is not 1"),
        ("00000 00001 1\n00000 00002 1\n", "none of them is non-mated"),
        ("00000 00002 0\n", "has 1 comparison and none of them is mated"),
        ("00000 00001 1\n00001 00000 0\n", "lists 00000 and 00001 as mated and as non"),
        ("00000 00001 1\n00002 00002 0\n", "compares 00002 with itself"),
        (
            "00000 00001 1\n00000 00099 0\n00098 00097 0\n00096 00095 0",
            "names 5 images .*not hold: 00095, 00096, 00097 and 2 more; .*--images",
        ),
        ("00000 00001 1\n00000 \udce9 0\n", "is not UTF-8"),
        ("00000 00001 x\n00000 \udce9 0\n", "is not UTF-8|line 1: 'x' is not 1"),
    ],
)
def test_bad_pair_lists(tmp_path, text, reason):
    write_crfiqa(tmp_path / "toy", size=14)
    (tmp_path / "toy/pair_list.txt").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=reason) as excinfo:
        read_benchmark(tmp_path / "toy")
    assert "pair_list.txt" in str(excinfo.value)
    assert len(str(excinfo.value).splitlines()) == 1


def test_a_list_of_templates_is_not_taken_for_pictures(tmp_path):
    write_crfiqa(tmp_path / "IJBC", size=14)
    assert "compares templates, not images" in refusal(tmp_path / "IJBC")


def test_repeated_comparisons_count_as_listed(tmp_path):
    write_crfiqa(tmp_path, size=14)
    with (tmp_path / "pair_list.txt").open("a") as file:
        file.write("00001 00000 1\n")
    benchmark = read_benchmark(tmp_path)
    assert benchmark.comparison_count == 16
    assert any("1 comparison repeat" in note for note in benchmark.notes)


@pytest.mark.parametrize(
    "text",
    [
        "image_a,image_b,mated\n{0},{1},1\n{0},{3},0\n",
        "image_a, image_b, mated\n{0}, {1}, True\n{0}, {3}, false\n\n",
        "\ufeffnote,mated,image_b,image_a\nx,1,{1},{0}\ny,0,{3},{0}\n",
        "img1_id,img2_id,label\n{0},{1},1\n{0},{3},0\n",
    ],
)
def test_pairs_table(tmp_path, text):
    names = write_people(tmp_path / "images", people=2, shots=2, size=14)
    names = [names[0], names[1], names[2], names[3].removesuffix(".png")]
    (tmp_path / "pairs.csv").write_text(text.format(*names), encoding="utf-8")
    benchmark = read_benchmark(tmp_path)
    assert benchmark.kind == "pairs"
    taken = benchmark.images.names
    assert taken == (names[0], names[1], names[3] + ".png")
    assert [e.tolist() for e in listed(benchmark)] == [[0, 0], [1, 2], [True, False]]
    assert benchmark.identities == ("person_00", "person_00", "person_01")
    assert benchmark.identity_source == "folders"


def test_identities_that_a_table_contradicts_are_unknown(tmp_path):
    names = write_people(tmp_path, people=2, shots=2, size=14)
    text = f"image_a,image_b,mated\n{names[0]},{names[1]},0\n{names[0]},{names[2]},1\n"
    (tmp_path / "pairs.csv").write_text(text)
    benchmark = read_benchmark(tmp_path / "pairs.csv")
    assert benchmark.identities == (None,) * 3
    assert any("2 comparisons contradict folders" in n for n in benchmark.notes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty; its first line should be image_a,image_b,mated"),
        (b"a,b,c\n", "has the columns a, b, c; it needs image_a,image_b,mated"),
        (b"image_a;image_b;mated\n", "with commas between"),
        (b"image_a,image_b,mated\n", "lists no comparisons"),
        (b"image_a,image_b,mated\n0,1,1\n0,2,maybe\n", "line 3: 'maybe' does not say"),
        (b"image_a,image_b,mated\n0,1,1\n\n0,2,\n", "line 4: '' does not say"),
        (b"image_a,image_b,mated\n0,1,1\n0,,0\n", "line 3: an image is missing"),
        (b"image_a,image_b,mated\n0,1,1\n0,2,0,7\n", "no valid CSV .*line 3"),
        (b"image_a,image_b,mated\n0,\xe9,1\n", "is not UTF-8"),
    ],
)
def test_bad_tables(tmp_path, text, reason):
    write_people(tmp_path, people=1, shots=3, size=14)
    (tmp_path / "pairs.csv").write_bytes(text)
    with pytest.raises(InputError, match=reason) as excinfo:
        read_benchmark(tmp_path / "pairs.csv", images=tmp_path / "person_00")
    assert "pairs.csv" in str(excinfo.value)
    assert len(str(excinfo.value).splitlines()) == 1


def test_pictures_of_a_benchmark_stream(tmp_path):
    write_lfw(tmp_path, extension="png", size=14)
    folder = read_benchmark(tmp_path).images
    batches = list(load_batches(folder, height=14, width=14, batch_size=4))
    pixels = np.concatenate([batch.pixels for batch in batches])
    assert len(pixels) == len(folder.names)
    for name, each in zip(folder.names, pixels, strict=True):
        np.testing.assert_array_equal(each, decode(folder.root / name).pixels)


def test_kinds_are_found_or_given(tmp_path):
    write_lfw(tmp_path, size=14)
    write_crfiqa(tmp_path, size=14)
    assert "several benchmarks: pairs.txt, pair_list.txt" in refusal(tmp_path)
    assert read_benchmark(tmp_path, "crfiqa").kind == "crfiqa"
    assert read_benchmark(tmp_path, "lfw").kind == "lfw"
    assert read_benchmark(tmp_path / "pairs.txt").kind == "lfw"
    assert "did you mean crfiqa?" in refusal(tmp_path, kind="cr-fiqa")
    assert "there is no" in refusal(tmp_path / "absent")
    assert "cannot read" in refusal(tmp_path, kind="pairs")
    assert "no .bin file" in refusal(tmp_path, kind="bin")
    (tmp_path / "notes.md").write_text("x")
    assert "is no benchmark by its name" in refusal(tmp_path / "notes.md")


def test_a_benchmark_is_a_frozen_record(tmp_path):
    write_crfiqa(tmp_path, size=14)
    benchmark = read_benchmark(tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        benchmark.name = "other"  # type: ignore[reportAttributeAccessIssue]


def write_calfw(root, name="pairs_CALFW.txt", label=lambda mated: int(mated)):
    """Write the two lines a pair of CALFW's list; mated pairs have a fold from 1 on."""
    lines = []
    for mated, one, other in (
        (True, "Ann_Lee_0001", "Ann_Lee_0002"),
        (False, "Ann_Lee_0003", "Dee_0001"),
        (True, "Dee_0002", "Dee_0003"),
        (False, "Dee_0001", "Ann_Lee_0001"),
    ):
        lines += [f"{each}.jpg {label(mated)}" for each in (one, other)]
    (root / name).write_text("\n".join(lines) + "\n")
    return lines


@pytest.mark.parametrize("name", ["pairs_CALFW.txt", "pairs_CPLFW.txt", "my_pairs.txt"])
@pytest.mark.parametrize("fold", [1, 7])
def test_lists_of_two_lines_a_pair(tmp_path, name, fold):
    write_lfw(tmp_path, layout="flat", size=14)
    (tmp_path / "pairs.txt").unlink()
    (tmp_path / "lfw").rename(tmp_path / "aligned images")
    write_calfw(tmp_path, name, lambda mated: fold * mated)
    benchmark = read_benchmark(tmp_path / name)
    assert benchmark.kind == "lfw"
    assert listed(benchmark).mated.tolist() == [True, False, True, False]
    first = [benchmark.images.names[n] for n in listed(benchmark).first]
    stems_of_first = ("Ann_Lee_0001", "Ann_Lee_0003", "Dee_0002", "Dee_0001")
    assert first == [f"{stem}.jpg" for stem in stems_of_first]
    assert set(benchmark.identities) == {"Ann_Lee", "Dee"}
    if name.startswith("pairs_"):  # and by its folder
        assert listed(read_benchmark(tmp_path)).mated.sum() == 2
        assert any("is published with" in note for note in benchmark.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "two are a pair"),
        (
            lambda lines: [*lines[:1], lines[1][:-1] + "0", *lines[2:]],
            "line 2: .*another",
        ),
        (lambda lines: [*lines[:3], "Dee_0001.jpg x", *lines[4:]], "line 4: .*is not"),
    ],
)
def test_broken_lists_of_two_lines_a_pair(tmp_path, change, said):
    write_lfw(tmp_path, layout="flat", size=14)
    lines = change(write_calfw(tmp_path))
    (tmp_path / "pairs_CALFW.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=said):
        read_benchmark(tmp_path / "pairs_CALFW.txt")


def test_labels_that_contradict_the_names(tmp_path):
    write_lfw(tmp_path, layout="flat", size=14)
    write_calfw(tmp_path, label=lambda mated: int(not mated))
    benchmark = read_benchmark(tmp_path / "pairs_CALFW.txt")
    assert set(benchmark.identities) == {None}
    assert any("contradict the names" in note for note in benchmark.notes)


def test_lists_of_two_images_and_a_label_are_told_their_kind(tmp_path):
    write_crfiqa(tmp_path, size=14)
    for name in ("pairs.txt", "list.txt"):
        (tmp_path / "pair_list.txt").rename(tmp_path / name)
        with pytest.raises(InputError, match="--kind crfiqa"):
            read_benchmark(tmp_path / name)
        found = read_benchmark(tmp_path / name, "crfiqa")
        assert found.kind == "crfiqa"
        (tmp_path / name).rename(tmp_path / "pair_list.txt")


def test_a_trailing_tab(tmp_path):
    lines = write_lfw(tmp_path, size=14)
    plain = read_benchmark(tmp_path)
    (tmp_path / "pairs.txt").write_text("\t\n".join(lines) + "\t\n")
    again = read_benchmark(tmp_path)
    assert again.images.names == plain.images.names
    assert (listed(again).first == listed(plain).first).all()
    write_crfiqa(tmp_path / "c", size=14)
    text = (tmp_path / "c" / "pair_list.txt").read_text().replace("\n", "\t\n")
    (tmp_path / "c" / "pair_list.txt").write_text(text)
    assert read_benchmark(tmp_path / "c").mated_count == 3


WRITTEN = {
    "backslashes": lambda name: name.replace("/", "\\"),
    "absolute": lambda name: f"/data/faces/{name}",
    "of Windows": lambda name: "D:\\faces\\" + name.replace("/", "\\"),
    "relative to the list": lambda name: f"../faces/images/{name}",
    "decomposed": lambda name: unicodedata.normalize("NFD", name),
    "without extension": lambda name: name.removesuffix(".png"),
}


@pytest.mark.parametrize("kind", ["pairs", "crfiqa"])
@pytest.mark.parametrize("way", WRITTEN)
def test_paths_in_lists_match_as_those_of_scores(tmp_path, kind, way):
    names = [f"{who}/{shot}.png" for who in ("Zo\u00eb", "Bob") for shot in "123"]
    for number, name in enumerate(names):
        save(tmp_path / "images" / name, person_picture(number, 0, 14))
    pairs = [(0, 1, 1), (3, 4, 1), (0, 3, 0), (1, 4, 0), (2, 5, 0)]
    sep, header = (",", "image_a,image_b,mated\n") if kind == "pairs" else (" ", "")
    lines = [
        sep.join([WRITTEN[way](names[a]), WRITTEN[way](names[b]), str(mated)])
        for a, b, mated in pairs
    ]
    path = tmp_path / ("pairs.csv" if kind == "pairs" else "pair_list.txt")
    path.write_text(header + "\n".join(lines) + "\n")
    benchmark = read_benchmark(path)
    compared = listed(benchmark)
    found = [[benchmark.images.names[n] for n in each] for each in compared[:2]]
    assert found == [[names[a] for a, *_ in pairs], [names[b] for _, b, _ in pairs]]
    assert not any("other folders" in note for note in benchmark.notes)


@pytest.mark.parametrize("kind", ["pairs", "crfiqa", "lfw"])
def test_comparisons_of_absent_images_are_refused_or_left_out(tmp_path, kind):
    if kind == "lfw":
        write_lfw(tmp_path, size=14)
    else:
        write_crfiqa(tmp_path, size=14)
    gone = tmp_path / "images" / "00001.jpg"
    if kind == "pairs":
        lines = (tmp_path / "pair_list.txt").read_text().splitlines()
        rows = [f"{a},{b},{int(mated)}" for a, b, mated in map(str.split, lines)]
        (tmp_path / "pair_list.txt").unlink()
        table = "\n".join(["image_a,image_b,mated", *rows])
        (tmp_path / "pairs.csv").write_text(table)
    whole = read_benchmark(tmp_path)
    if kind == "lfw":
        gone = tmp_path / "lfw" / whole.images.names[0]
    gone.unlink()
    with pytest.raises(InputError, match="--on-bad-image skip") as excinfo:
        read_benchmark(tmp_path)
    assert gone.stem in str(excinfo.value)
    rest = read_benchmark(tmp_path, on_bad_image="skip")
    (note,) = [note for note in rest.notes if "does not hold" in note]
    assert gone.stem in note
    assert len(rest.images.names) == len(whole.images.names) - 1
    left_out = whole.comparison_count - rest.comparison_count
    assert 0 < left_out < whole.comparison_count
    assert note.startswith(f"left out: {left_out} comparison")
    who = dict(zip(whole.images.names, whole.identities, strict=True))
    if kind == "lfw":
        assert rest.identities == tuple(who[name] for name in rest.images.names)
    for each in gone.parent.iterdir():
        each.unlink()
    save(gone.with_name("another.jpg"), person_picture(0, 0, 14))
    if kind != "lfw":  # of which the other people's are there
        with pytest.raises(InputError, match="give the folder that holds them"):
            read_benchmark(tmp_path, on_bad_image="skip")


def test_files_that_are_no_images_are_told_of_every_list(tmp_path):
    for kind, write in (("lfw", write_lfw), ("crfiqa", write_crfiqa)):
        write(tmp_path / kind, size=14)
        images = tmp_path / kind / ("lfw" if kind == "lfw" else "images")
        (images / "phone.heic").write_bytes(b"x")
        notes = read_benchmark(tmp_path / kind).notes
        assert any("1 .heic" in note for note in notes), notes
