"""Write simulated benchmarks in the layouts of the real ones, from scratch.

People are random patterns; a person's images share the pattern, so that a network of
any weights finds the mated ones more alike.
"""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

# ArcFace's template in an image of 112×112, as published.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def listed(benchmark):
    """Give the comparisons of a benchmark that lists them."""
    assert benchmark.comparisons is not None
    return benchmark.comparisons


def person_picture(person, shot, size=112):
    """Give image number ``shot`` of a person: (size, size, 3), uint8."""
    cells = np.random.default_rng([7, person]).integers(0, 256, (7, 7, 3))
    pattern = np.kron(cells, np.ones((size // 7, size // 7, 1)))
    noise = np.random.default_rng([8, person, shot]).normal(0, 20, (size, size, 1))
    return np.clip(pattern + noise, 0, 255).astype(np.uint8)


def encoded(pixels, kind="JPEG"):
    """Give the content of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def save(path, pixels):
    """Write an image, in the format that the extension names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_people(root, people=4, shots=3, size=112):
    """Write a folder per person; return the names of the images, sorted."""
    names = []
    for person in range(people):
        for shot in range(shots):
            names.append(f"person_{person:02d}/{shot}.png")
            save(Path(root) / names[-1], person_picture(person, shot, size))
    return names


def write_adience(root, people=4, shots=3, size=112):
    """Write Adience's layout: two people in each account's folder; return the names."""
    names = []
    for person in range(people):
        account = f"{1000 + person // 2}@N0{person // 2}"
        for shot in range(shots):
            file = f"landmark_aligned_face.{person}.{90000 + shot}_o.jpg"
            names.append(f"{account}/{file}")
            save(Path(root) / names[-1], person_picture(person, shot, size))
    return sorted(names)


def lfw_lines(people, folds=2, pairs=3, rng_seed=0):
    """Draw lines of pairs.txt: names, and two numbers or two names with a number."""
    rng = np.random.default_rng(rng_seed)
    lines = [f"{folds}\t{pairs}"]
    mated = [(n, i, j) for n in people for i in (1, 2, 3) for j in range(i + 1, 4)]
    mated = [mated[place] for place in rng.permutation(len(mated))]
    crossed = [(a, i, b, j) for a in people for b in people if a < b for i, j in
               ((1, 1), (2, 3), (3, 1))]  # fmt: skip
    crossed = [crossed[place] for place in rng.permutation(len(crossed))]
    for fold in range(folds):
        part = slice(fold * pairs, (fold + 1) * pairs)
        lines += ["\t".join(map(str, each)) for each in mated[part]]
        lines += ["\t".join(map(str, each)) for each in crossed[part]]
    return lines


LFW_PEOPLE = ("Ann_Lee", "Bob_St.-Jo", "Cy_O'Neil", "Dee")


def write_lfw(root, layout="folders", extension="jpg", size=112):
    """Write LFW: three images of four people, and pairs.txt; return its lines."""
    for person, name in enumerate(LFW_PEOPLE):
        for shot in range(3):
            file = f"{name}_{shot + 1:04d}.{extension}"
            below = f"{name}/{file}" if layout == "folders" else file
            pixels = person_picture(person, shot, size)
            save(Path(root) / "lfw" / below, pixels)
    lines = lfw_lines(LFW_PEOPLE)
    (Path(root) / "pairs.txt").write_text("\n".join(lines) + "\n")
    return lines


def bin_pictures(comparisons=6, size=112):
    """Give (images, labels) of a .bin: half of the comparisons are mated."""
    pictures, labels = [], []
    for each in range(comparisons):
        mated = each % 2 == 0
        pictures.append(encoded(person_picture(each, 0, size)))
        other = each if mated else each + 1
        pictures.append(encoded(person_picture(other, 1 + each, size)))
        labels.append(mated)
    return pictures, labels


def python2_pickle(pictures, labels):
    """Pickle (images, labels) as Python 2 did with its highest protocol, 2.

    Its ``str`` became BINSTRING, or SHORT_BINSTRING below 256 bytes, which Python 3
    never writes.
    """
    out = [b"\x80\x02", b"]q\x01("]
    for place, data in enumerate(pictures, 2):
        short = len(data) < 256
        length = bytes([len(data)]) if short else struct.pack("<i", len(data))
        out += [b"U" if short else b"T", length, data, b"r", struct.pack("<I", place)]
    out += [b"e]r", struct.pack("<I", len(pictures) + 2), b"("]
    out += [b"\x88" if each else b"\x89" for each in labels]
    out += [b"e\x86r", struct.pack("<I", len(pictures) + 3), b"."]
    return b"".join(out)


def write_crfiqa(root, people=3, shots=2, size=112):
    """Write images/%05d.jpg, image_path_list.txt and pair_list.txt of all pairs."""
    root = Path(root)
    who = np.repeat(np.arange(people), shots)
    for place, person in enumerate(who):
        pixels = person_picture(person, place, size)
        save(root / "images" / f"{place:05d}.jpg", pixels)
    paths = [f"{root.name}/images/{place:05d}.jpg" for place in range(len(who))]
    (root / "image_path_list.txt").write_text("\n".join(paths) + "\n")
    lines = [
        f"{a:05d} {b:05d} {who[a] == who[b]:05d}"
        for a in range(len(who))
        for b in range(a + 1, len(who))
    ]
    (root / "pair_list.txt").write_text("\n".join(lines) + "\n")
    return lines


def write_ijbc(root, people=5, probes=3, prefix="ijbc"):
    """Write IJB-C's meta/ and loose_crop/.

    Each person has a gallery template (images of two media, one a video of two frames)
    and ``probes`` templates of one image. Every gallery template is compared with every
    probe. Faces lie anywhere in crops of different sizes.

    Returns
    -------
    dict
        ``image`` name to the aligned pixels that were put into its crop.
    """
    root = Path(root)
    members, points, aligned, person_of = [], [], {}, {}
    image, medium = 1, 500
    for person in range(people):
        for kind in range(1 + probes):
            template = 11 + person * (1 + probes) + kind
            person_of[template] = (person, kind)
            media = (medium, medium + 1, medium + 1) if kind == 0 else (medium,)
            medium += 2
            for each in media:
                name = f"{image}.jpg"
                pixels = person_picture(person, image)
                points.append(f"{name} {_put(root, name, pixels, image)} 0.99")
                aligned[name] = pixels
                members.append(f"{name} {template} {each}")
                image += 1
    gallery = [t for t, (_, kind) in person_of.items() if kind == 0]
    probe = [t for t, (_, kind) in person_of.items() if kind > 0]
    compared = [
        f"{g} {p} {person_of[g][0] == person_of[p][0]:d}"
        for g in gallery
        for p in probe
    ]
    meta = root / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    for ending, lines in {
        "face_tid_mid": members,
        "template_pair_label": compared,
        "name_5pts_score": points,
    }.items():
        (meta / f"{prefix}_{ending}.txt").write_text("\n".join(lines) + "\n")
    return aligned


def _put(root, name, pixels, number):
    """Put an aligned face somewhere into a larger image; write where its points are.

    The file is a PNG whatever its name, so that not a pixel changes.
    """
    left, top = 5 + number % 40, 30 - number % 17
    loose = np.full((160, 170 + number % 5, 3), 90, np.uint8)
    loose[top : top + 112, left : left + 112] = pixels
    path = root / "loose_crop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(loose, "PNG"))
    return " ".join(
        f"{value:.4f}" for value in (TEMPLATE + np.array([left, top])).ravel()
    )
