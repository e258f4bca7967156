"""The preprocessings that a stored one could be mistaken for."""

import dataclasses

from prefiqs_jax.backbones import Preprocessing
from prefiqs_jax.backbones.preprocessing import CHANNELS

# (mean, std) of pixels from 0 to 255, as the networks of the field are trained with.
_SCALINGS = ((127.5, 127.5), (0.0, 255.0), (0.0, 1.0))


def scaling(preprocessing: Preprocessing) -> str:
    """Write the scaling as a formula of the pixel x.

    >>> scaling(Preprocessing(mean=0.0, std=255.0)), scaling(Preprocessing(std=128.0))
    ('x / 255', '(x - 127.5) / 128')
    """
    mean, std = preprocessing.mean, preprocessing.std
    text = f"(x - {mean:g})" if mean else "x"
    return text if std == 1 else f"{text} / {std:g}"


def alternatives(stored: Preprocessing, *, grey: bool) -> list[Preprocessing]:
    """List the stored preprocessing, and those that it could be mistaken for.

    The stored one first; then each order of the channels, which is left alone if all
    images are grey, with each scaling. (x - 127.5) / 128 differs from (x - 127.5) /
    127.5 by 0.4 % of contrast, which no set of images can tell apart; whichever of them
    is stored stands for both.

    >>> found = alternatives(Preprocessing(std=128.0), grey=False)
    >>> len(found), found[0].describe()
    (6, '112×112 RGB, (x - 127.5) / 128')
    """
    scales = [(stored.mean, stored.std)]
    for mean, std in _SCALINGS:
        alike = mean == stored.mean and abs(std - stored.std) <= 0.01 * std
        if not alike:
            scales.append((mean, std))
    other = [each for each in CHANNELS if each != stored.channels]
    orders = [stored.channels] if grey else [stored.channels, *other]
    return [
        dataclasses.replace(stored, channels=channels, mean=mean, std=std)
        for channels in orders
        for mean, std in scales
    ]
