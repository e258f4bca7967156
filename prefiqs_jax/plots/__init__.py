"""Figures: data in, ``Axes`` in, ``Axes`` out; nothing is computed or shown.

Every function returns the axes, or the figure, that it was given. A figure is given
empty; its height is set to fit, its width stays.
"""

from prefiqs_jax.plots.agreement import (
    agreement_panels,
    statistic_against_sparsity,
    strata_panels,
)
from prefiqs_jax.plots.alignment import alignment_panels
from prefiqs_jax.plots.by_kind import Panel, gradient_scatter, kind_panels
from prefiqs_jax.plots.det import det_panel, det_points
from prefiqs_jax.plots.drift_levels import drift_beside_first_order
from prefiqs_jax.plots.drift_scatter import drift_scatter
from prefiqs_jax.plots.edc import edc_panel
from prefiqs_jax.plots.face_grid import Face, face_tile, stability_grid
from prefiqs_jax.plots.held import held_against_sparsity
from prefiqs_jax.plots.image_sheet import image_sheet
from prefiqs_jax.plots.label_optimisation import optimisation_panels
from prefiqs_jax.plots.layer_contributions import (
    contribution_map,
    contribution_profile,
)
from prefiqs_jax.plots.layer_sparsity import layer_sparsity_map
from prefiqs_jax.plots.mask_curves import mask_curve_panels, mask_curves
from prefiqs_jax.plots.mask_maps import layer_profiles, overlap_map
from prefiqs_jax.plots.on_request import (
    ORDERS,
    PARTS,
    control_panels,
    flips_by_depth,
    medians_against_sparsity,
)
from prefiqs_jax.plots.pauc import pauc_intervals
from prefiqs_jax.plots.pixel_overlay import pixel_overlay
from prefiqs_jax.plots.residual import relative_residual_panels
from prefiqs_jax.plots.saving import Drawing, Tile, figure_files
from prefiqs_jax.plots.severity import drift_against_severity
from prefiqs_jax.plots.shared import note
from prefiqs_jax.plots.theme import COLUMN_IN, PAGE_IN, SCREEN_IN, theme
from prefiqs_jax.plots.worst_faces import MissedFace, worst_faces

picture_sheet = image_sheet  # its name of the release before, until release 0.3

__all__ = [
    "COLUMN_IN",
    "ORDERS",
    "PAGE_IN",
    "PARTS",
    "SCREEN_IN",
    "Drawing",
    "Face",
    "MissedFace",
    "Panel",
    "Tile",
    "agreement_panels",
    "alignment_panels",
    "contribution_map",
    "contribution_profile",
    "control_panels",
    "det_panel",
    "det_points",
    "drift_against_severity",
    "drift_beside_first_order",
    "drift_scatter",
    "edc_panel",
    "face_tile",
    "figure_files",
    "flips_by_depth",
    "gradient_scatter",
    "held_against_sparsity",
    "image_sheet",
    "kind_panels",
    "layer_profiles",
    "layer_sparsity_map",
    "mask_curve_panels",
    "mask_curves",
    "medians_against_sparsity",
    "note",
    "optimisation_panels",
    "overlap_map",
    "pauc_intervals",
    "picture_sheet",
    "pixel_overlay",
    "relative_residual_panels",
    "stability_grid",
    "statistic_against_sparsity",
    "strata_panels",
    "theme",
    "worst_faces",
]
