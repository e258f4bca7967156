"""Columns of each image beside its identity, to stratify a run by."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular
from prefiqs_jax.images.folder import IDENTITY_TABLE
from prefiqs_jax.images.pairing import rows_named
from prefiqs_jax.images.tables import delimiter_of

if TYPE_CHECKING:
    import pandas as pd

COPY_OF = "copy_of"


def with_image_columns(
    rows: "pd.DataFrame", folder: Path | None = None
) -> "pd.DataFrame":
    """Join the columns of ``images.csv`` and of degraded copies to rows.

    Parameters
    ----------
    rows
        Rows of a run, see :func:`prefiqs_jax.results.read`.
    folder
        Folder of the images. Each column of its ``images.csv`` that the rows do not
        have is joined by image; a degraded copy has what its original has.

    Returns
    -------
    pandas.DataFrame
        The rows, in their order, with further columns; missing where the table does
        not list an image. If there are copies made by ``prefiqs sweep --degraded``, the
        columns copy_of (the original; an original's is itself), degradation (``clean``
        for originals) and severity (0 for originals) are among them.

    Raises
    ------
    InputError
        If the table cannot be read, or lists an image twice with different values.
    """
    import pandas as pd

    from prefiqs_jax.benchmarks import copy_named

    copies = {name: copy_named(name) for name in rows["image"].unique()}
    originals = [name if copy is None else copy[0] for name, copy in copies.items()]
    extra = pd.DataFrame({"image": list(copies), COPY_OF: originals})
    table = None if folder is None else _read(folder / IDENTITY_TABLE)
    if table is not None:
        listed = table["file"].tolist()
        row_of, _ = rows_named(folder, list(dict.fromkeys(originals)), listed)
        name_of = {listed[row]: name for name, row in row_of.items()}
        table["file"] = table["file"].map(lambda file: name_of.get(file, file))
        new = [name for name in table.columns if name not in rows and name != COPY_OF]
        extra = extra.merge(
            table[new], how="left", left_on=COPY_OF, right_on="file", validate="m:1"
        )
    if any(copies.values()):
        made = [(copy or ("", "clean", 0.0))[1:] for copy in copies.values()]
        is_copy = np.array([copy is not None for copy in copies.values()])
        for place, name in enumerate(("degradation", "severity")):
            own = pd.Series([each[place] for each in made])
            # An original may have been degraded before, and its table know it.
            known = extra[name].where(~is_copy) if name in extra else None
            extra[name] = own if known is None else known.fillna(own)
    spare = ["file"] if any(copies.values()) else ["file", COPY_OF]
    extra = extra.drop(columns=spare, errors="ignore")
    return rows.merge(extra, how="left", on="image", validate="m:1")


def _read(path: Path) -> "pd.DataFrame | None":
    import pandas as pd

    if not path.exists():
        return None
    check_regular(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = delimiter_of(file)
            table = pd.read_csv(file, sep=delimiter, skipinitialspace=True)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        message = f"{path} cannot be read ({why}); export it again as CSV UTF-8"
        raise InputError(message) from None
    table = table.rename(columns=lambda name: str(name).strip())
    if "file" not in table:
        message = f"{path} has no column named file; it needs one with the images"
        raise InputError(message)
    names = table["file"].astype(str).str.replace("\\", "/").str.removeprefix("./")
    table = table.assign(file=names).drop_duplicates()
    twice = table["file"].duplicated()
    if twice.any():
        name = table.loc[twice, "file"].tolist()[0]
        message = f"{path} lists {name} twice with different values; keep one row"
        raise InputError(message)
    return table
