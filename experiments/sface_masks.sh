#!/usr/bin/env bash
# Rows that compare the built-in masks on one network and one folder of faces.
#
#     experiments/sface_masks.sh WEIGHTS.onnx FACES [RUNS]
#     python -m paper_figures RUNS/sface_* --out figures
#
# Killed, it goes on where it stopped when started again.
set -euo pipefail
weights=${1:?usage: experiments/sface_masks.sh WEIGHTS.onnx FACES [RUNS]}
faces=${2:?usage: experiments/sface_masks.sh WEIGHTS.onnx FACES [RUNS]}
runs=${3:-runs}
for mask in global/magnitude layerwise/magnitude global/random layerwise/random; do
  prefiqs sweep --backbone sface --weights "$weights" --images "$faces" \
    --mask "$mask" --sparsities 0.05,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9 \
    --out "$runs/sface_${mask/\//_}"
done
