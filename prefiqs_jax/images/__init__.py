"""Face images: a folder of them, their pixels, and batches for a network."""

from prefiqs_jax.images.decode import Decoded, decode, encode_png
from prefiqs_jax.images.folder import ImageFolder, read_folder
from prefiqs_jax.images.given import IN_MEMORY, ImageSource, as_folder, as_pixels
from prefiqs_jax.images.headers import check_headers, describe_bad, refuse_bad
from prefiqs_jax.images.identities import found_people, level_question
from prefiqs_jax.images.inventory import Inventory, refuse_changed, take_inventory
from prefiqs_jax.images.loading import LoadedBatch, batch_count, load_batches
from prefiqs_jax.images.opening import BadImage

__all__ = [
    "IN_MEMORY",
    "BadImage",
    "Decoded",
    "ImageFolder",
    "ImageSource",
    "Inventory",
    "LoadedBatch",
    "as_folder",
    "as_pixels",
    "batch_count",
    "check_headers",
    "decode",
    "describe_bad",
    "encode_png",
    "found_people",
    "level_question",
    "load_batches",
    "read_folder",
    "refuse_bad",
    "refuse_changed",
    "take_inventory",
]
