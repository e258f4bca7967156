"""Who is in the images of a folder, by the folders in which they lie."""

from collections.abc import Iterable, Sequence

from prefiqs_jax.errors import InputError

FOLDERS = "folders"
"""Where identities come from that are the only folder above each image."""


def from_folders(
    names: Sequence[str], level: int | None
) -> tuple[tuple[str | None, ...], str | None]:
    """Name the person in each image by its folders, and say where that comes from.

    `level` is how many folders name the person, from the first on; 0 = nobody is known.
    None leaves it to the folders: each is a person if there are two or more, every
    image lies in one, and none lies deeper. An image that lies less deep than the level
    shows None. InputError if the level is negative, or no image lies so deep.

    >>> from_folders(["ann/0/1.png", "bob/0/1.png"], 1)
    (('ann', 'bob'), 'folders')
    >>> from_folders(["ann/0/1.png", "bob/0/1.png"], None)
    ((None, None), None)
    """
    folders = [name.split("/")[:-1] for name in names]
    if level is None:
        alone = all(len(each) == 1 for each in folders)
        level = int(alone and len({each[0] for each in folders}) > 1)
    if level < 0 or level > max(map(len, folders), default=0):
        deepest = max(names, key=lambda name: name.count("/"), default="none")
        message = (
            f"identity level {level} does not fit, since the deepest image is "
            f"{deepest}; give how many of its folders name the person, or 0"
        )
        raise InputError(message)
    if level == 0:
        return (None,) * len(names), None
    people = tuple(
        "/".join(each[:level]) if len(each) >= level else None for each in folders
    )
    return people, FOLDERS if level == 1 else f"the first {level} folders"


def doubts(names: Sequence[str], identities: Iterable[str | None]) -> list[str]:
    """List what may be wrong with the identities that :func:`from_folders` gave.

    >>> doubts(["train/ann/1.png", "val/ann/1.png"], ["train/ann", "val/ann"])
    ['train/ann and val/ann count as two people; if they are one, write images.csv']
    >>> doubts(["1.png", "ann/1.png"], [None, None])
    ['identities are unknown, since 1.png lies in no folder']
    """
    unknown = next(
        (n for n, who in zip(names, identities, strict=True) if who is None), None
    )
    known = sorted({who for who in identities if who is not None})
    if not known:
        folders = {name.rpartition("/")[0] for name in names}
        if folders == {""}:
            return []
        why = f"{unknown} lies in no folder"
        if len(folders) == 1:
            why = (
                "all images lie in one folder; at identity level 1, it is one person's"
            )
        return [f"identities are unknown, since {why}"]
    found = []
    if unknown is not None:
        found.append(
            f"who is in {unknown} is unknown: it lies less deep than the level"
        )
    seen: dict[str, str] = {}
    for who in known:
        other = seen.setdefault(who.rpartition("/")[2], who)
        if other != who:
            found.append(
                f"{other} and {who} count as two people; if they are one, write "
                "images.csv"
            )
            break
    return found


def level_question(names: Sequence[str]) -> str | None:
    """Ask which folders name the people; None where that is no question.

    Examples
    --------
    >>> level_question(["ann/1.png", "bob/1.png"]) is None
    True
    >>> print(level_question(["ann/0/1.png", "ann/1/1.png", "bob/0/1.png"]))
    its images lie 2 folders deep (ann/0/1.png), and any of these may be a person's; \
give --identity-level 1 (2 people, the first is ann), 2 (3 people, the first is ann/0) \
or 0 (unknown), or write images.csv with the columns file and identity
    """
    deepest = max(names, key=lambda name: name.count("/"))
    depth = deepest.count("/")
    if depth < 2:
        return None
    choices = []
    for level in range(1, depth + 1):
        people = sorted({who for who in from_folders(names, level)[0] if who})
        choices.append(f"{level} ({_people(len(people))}, the first is {people[0]})")
    return (
        f"its images lie {depth} folders deep ({deepest}), and any of these may be a "
        f"person's; give --identity-level {', '.join(choices)} or 0 (unknown), or "
        "write images.csv with the columns file and identity"
    )


def found_people(
    root: object, identities: Sequence[str | None], source: str | None
) -> str:
    """Say how many images and people there are, and by which rule.

    Examples
    --------
    >>> found_people("faces", ["ann", "ann", "bob", None], "images.csv")
    'faces: 4 images of 2 people (identities from images.csv; 1 image has none)'
    >>> found_people("faces", [None], None)
    'faces: 1 image, who is in it is unknown'
    """
    people = len({who for who in identities if who is not None})
    unknown = sum(who is None for who in identities)
    if not people:
        them = "it" if len(identities) == 1 else "them"
        return f"{root}: {_images(len(identities))}, who is in {them} is unknown"
    rest = ""
    if unknown:
        rest = f"; {_images(unknown)} {'has' if unknown == 1 else 'have'} none"
    return (
        f"{root}: {_images(len(identities))} of {_people(people)} (identities "
        f"from {source}{rest})"
    )


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
