"""Alignment of faces: five landmarks to a template, given or found by a detector."""

from prefiqs_jax.images.align.detector import (
    Detect,
    Detection,
    choose,
    find_faces,
    open_detector,
    read_rows,
)
from prefiqs_jax.images.align.earlier import (
    Earlier,
    find_earlier,
    refuse_other_settings,
)
from prefiqs_jax.images.align.folder import Crop, align_images, locate
from prefiqs_jax.images.align.job import AlignedFolder, align_folder
from prefiqs_jax.images.align.plan import Task, describe_unusable, plan_crops
from prefiqs_jax.images.align.stamp import Stamp, opencv_version
from prefiqs_jax.images.align.table import (
    LANDMARK_COLUMNS,
    LandmarkTable,
    has_landmarks,
    read_landmarks,
)
from prefiqs_jax.images.geometry import (
    ALIGNED,
    LANDMARKS,
    TEMPLATES,
    Misalignment,
    Template,
    align,
    check_landmarks,
    compose,
    error_matrix,
    misaligned_crops,
    misalignments,
    similarity,
    template_named,
    transform,
    warp,
)
from prefiqs_jax.images.inventory import Times
from prefiqs_jax.images.inventory import file_times as crop_times

align_pictures = align_images  # its name of the release before, until release 0.3

__all__ = [
    "ALIGNED",
    "LANDMARKS",
    "LANDMARK_COLUMNS",
    "TEMPLATES",
    "AlignedFolder",
    "Crop",
    "Detect",
    "Detection",
    "Earlier",
    "LandmarkTable",
    "Misalignment",
    "Stamp",
    "Task",
    "Template",
    "Times",
    "align",
    "align_folder",
    "align_images",
    "align_pictures",
    "check_landmarks",
    "choose",
    "compose",
    "crop_times",
    "describe_unusable",
    "error_matrix",
    "find_earlier",
    "find_faces",
    "has_landmarks",
    "locate",
    "misaligned_crops",
    "misalignments",
    "open_detector",
    "opencv_version",
    "plan_crops",
    "read_landmarks",
    "read_rows",
    "refuse_other_settings",
    "similarity",
    "template_named",
    "transform",
    "warp",
]
