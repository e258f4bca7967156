"""Figures: data in, ``Axes`` in, ``Axes`` out; nothing is computed or shown.

Every function returns the axes, or the figure, that it was given. A figure is given
empty; its height is set to fit, its width stays.
"""

from prefiqs_jax.plots.agreement import agreement_panels, statistic_against_sparsity
from prefiqs_jax.plots.alignment import alignment_panels
from prefiqs_jax.plots.det import det_panel
from prefiqs_jax.plots.drift_distribution import drift_distribution
from prefiqs_jax.plots.drift_scatter import drift_against_first_order, drift_panels
from prefiqs_jax.plots.edc import edc_panel
from prefiqs_jax.plots.face_grid import Face, face_tile, stability_grid
from prefiqs_jax.plots.image_sheet import image_sheet
from prefiqs_jax.plots.label_optimisation import optimisation_panels
from prefiqs_jax.plots.layer_contributions import (
    contribution_map,
    contribution_profile,
)
from prefiqs_jax.plots.layer_sparsity import layer_sparsity_map
from prefiqs_jax.plots.mask_curves import mask_curve_panels, mask_curves
from prefiqs_jax.plots.mask_maps import layer_profiles, overlap_map
from prefiqs_jax.plots.pauc import pauc_intervals
from prefiqs_jax.plots.pixel_overlay import pixel_overlay
from prefiqs_jax.plots.residual import (
    relative_residual_against_sparsity,
    residual_against_sparsity,
)
from prefiqs_jax.plots.saving import Drawing, figure_files
from prefiqs_jax.plots.severity import drift_against_severity
from prefiqs_jax.plots.shared import note
from prefiqs_jax.plots.theme import COLUMN_IN, PAGE_IN, theme
from prefiqs_jax.plots.worst_faces import MissedFace, worst_faces

picture_sheet = image_sheet  # its name of the release before, until release 0.3

__all__ = [
    "COLUMN_IN",
    "PAGE_IN",
    "Drawing",
    "Face",
    "MissedFace",
    "agreement_panels",
    "alignment_panels",
    "contribution_map",
    "contribution_profile",
    "det_panel",
    "drift_against_first_order",
    "drift_against_severity",
    "drift_distribution",
    "drift_panels",
    "edc_panel",
    "face_tile",
    "figure_files",
    "image_sheet",
    "layer_profiles",
    "layer_sparsity_map",
    "mask_curve_panels",
    "mask_curves",
    "note",
    "optimisation_panels",
    "overlap_map",
    "pauc_intervals",
    "picture_sheet",
    "pixel_overlay",
    "relative_residual_against_sparsity",
    "residual_against_sparsity",
    "stability_grid",
    "statistic_against_sparsity",
    "theme",
    "worst_faces",
]
