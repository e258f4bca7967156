"""Templates: several images of one person that are compared as one, as in IJB-C.

A template's embedding is pooled from those of its images, its quality from theirs.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.fiqa.checks import checked_quality
from prefiqs_jax.fiqa.verification.similarity import embedding_rows

Pooling = Literal["min", "mean", "max"]


class Members(NamedTuple):
    """Which images a template is made of: one entry per image and template."""

    image: Int[np.ndarray, " members"]
    """Row of the image."""
    template: Int[np.ndarray, " members"]
    """Number of the template, from 0; each number up to the last has an image."""
    medium: Int[np.ndarray, " members"]
    """Which photograph or video the image is from; any whole numbers."""


def pool_templates(
    embeddings: NDArray[np.floating], members: Members
) -> Float[np.ndarray, "templates dim"]:
    """Pool the embeddings of each template's images, and scale them to norm 1.

    pooled = Σ over media of (mean over the images of that medium), divided by its norm

    Parameters
    ----------
    embeddings
        Shape (images, dim). Whether raw or of norm 1 is the protocol's choice: raw
        ones weigh an image by its norm.
    members
        Which images each template is made of.

    Returns
    -------
    ndarray
        Shape (templates, dim), rows of norm 1, in the embeddings' precision. A video of
        many frames weighs as much as one photograph.

    Raises
    ------
    InputError
        If the members do not fit the images, a template has no image, or the pooled
        embedding is zero or not finite.

    References
    ----------
    Maze et al. (2018). IARPA Janus Benchmark-C: Face dataset and protocol. ICB; the
    pooling is that of the evaluation codes of InsightFace and CR-FIQA.

    Examples
    --------
    >>> members = Members(*np.array([[0, 1, 2], [0, 0, 0], [7, 7, 8]]))
    >>> pool_templates(np.array([[2.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), members)
    array([[0.6, 0.8]])
    """
    rows = embedding_rows(embeddings)
    checked = _checked(members, len(rows))
    # The images of one medium of one template share the weight 1.
    keys = np.stack([checked.template, checked.medium], axis=1)
    _, group, size = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    weight = (1 / size[group.ravel()]).astype(rows.dtype)
    templates = int(checked.template.max()) + 1
    # A sparse product sums segments without a copy of the rows in between.
    pooled = (
        sparse.csr_array(
            (weight, (checked.template, checked.image)), shape=(templates, len(rows))
        )
        @ rows
    )
    norm = np.linalg.norm(pooled.astype(np.float64), axis=1)
    odd = ~(np.isfinite(norm) & (norm > 0))
    if odd.any():
        row = int(np.argmax(odd))
        found = "zero" if norm[row] == 0 else "not finite"
        message = f"the embedding of template {row} is {found}; leave the template out"
        raise InputError(message)
    pooled /= norm[:, None].astype(rows.dtype)
    return pooled


def template_quality(
    image_quality: ArrayLike, members: Members, pooling: str = "min"
) -> Float[np.ndarray, " templates"]:
    """Give each template the lowest, mean or highest quality of its images.

    Parameters
    ----------
    image_quality
        Shape (images,), higher = better.
    members
        Which images each template is made of.
    pooling
        "min", as evaluation codes have it; "mean" over its images; "max".

    Returns
    -------
    ndarray
        Shape (templates,), float64.

    Raises
    ------
    InputError
        If the members do not fit the images, a template has no image, a quality is not
        finite, or the pooling is unknown.

    Examples
    --------
    >>> members = Members(*np.array([[0, 1, 2], [0, 0, 1], [0, 1, 2]]))
    >>> template_quality([0.9, 0.1, 0.5], members)
    array([0.1, 0.5])
    """
    check_choice("pooling", pooling, get_args(Pooling))
    checked = _checked(members, np.size(image_quality))
    quality = checked_quality(image_quality, np.unique(checked.image))
    order = np.argsort(checked.template, kind="stable")
    values = quality[checked.image[order]]
    template = checked.template[order]
    starts = np.searchsorted(template, np.arange(int(template[-1]) + 1))
    if pooling == "min":
        return np.minimum.reduceat(values, starts)
    if pooling == "max":
        return np.maximum.reduceat(values, starts)
    return np.add.reduceat(values, starts) / np.bincount(template)


def _checked(members: Members, images: int) -> Members:
    checked = Members(*(np.asarray(part) for part in members))
    shapes = {part.shape for part in checked}
    whole = all(np.issubdtype(part.dtype, np.integer) for part in checked)
    if len(shapes) != 1 or checked.image.ndim != 1 or not whole or not len(members[0]):
        message = (
            "members must be three lists of whole numbers of one length (image, "
            "template, medium)"
        )
        raise InputError(message)
    if checked.image.min() < 0 or checked.image.max() >= images:
        odd = checked.image[(checked.image < 0) | (checked.image >= images)][0]
        message = f"a template has image {odd}, but there are images 0 to {images - 1}"
        raise InputError(message)
    if checked.template.min() < 0:
        message = f"template {checked.template.min()} is below 0; number them from 0"
        raise InputError(message)
    empty = np.flatnonzero(np.bincount(checked.template) == 0)
    if len(empty):
        message = f"template {empty[0]} has no image; number templates without gaps"
        raise InputError(message)
    return checked
