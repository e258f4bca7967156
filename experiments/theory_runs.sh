#!/usr/bin/env bash
# Runs for the questions beyond first order, and their findings.
#
#     experiments/theory_runs.sh WEIGHTS.onnx LFW100 ATT [RUNS]
#
# SFace and the demo network under three masks: faces of LFW100 and a degraded copy of
# each; SFace on ATT, too. Paths and the metric under global magnitude, on two images of
# each person. What is there already is left as it is; killed, it goes on where it
# stopped when started again. FINDINGS=docs/findings.md also renews that page.
set -euo pipefail
usage='usage: experiments/theory_runs.sh WEIGHTS.onnx LFW100 ATT [RUNS]'
weights=${1:?$usage}
lfw=${2:?$usage}
att=${3:?$usage}
runs=${4:-runs}
here=$(dirname "$0")

run() {
  local out=$runs/$1
  shift
  prefiqs sweep --out "$out" --sparsities 0.05,0.1,0.3,0.5,0.7 \
    --with taylor3,kinks,layers,controls "$@"
}

for mask in global/magnitude layerwise/magnitude global/random; do
  name=$([ "$mask" = global/magnitude ] || echo "_${mask/\//_}")
  sface=(--backbone sface --weights "$weights" --mask "$mask")
  run "sface$name" "${sface[@]}" --images "$lfw" --degraded 1
  run "demo$name" --backbone demo --mask "$mask" --images "$lfw" --degraded 1
  run "att$name" "${sface[@]}" --images "$att"
done

for question in first_order_limits kinks layers controls; do
  python "$here/../analysis/$question.py" "$runs"/{sface,demo,att}* \
    --out "$runs/findings/$question" ${FINDINGS:+--findings "$FINDINGS"}
done

for question in paths metric; do
  for name in sface demo; do
    out=$runs/$question/$name
    [ -e "$out/${question}_images.csv" ] && continue
    network=(--backbone "$name")
    [ "$name" = demo ] || network+=(--weights "$weights")
    python "$here/../analysis/$question.py" "${network[@]}" \
      --images "$lfw" --each 2 --degraded 1 --out "$out"
  done
  python "$here/../analysis/$question.py" "$runs/$question"/{sface,demo} \
    --out "$runs/findings/$question" ${FINDINGS:+--findings "$FINDINGS"}
done

python "$here/../analysis/expected_drift.py" "$lfw" "$att" --backbone sface \
  --weights "$weights" --out "$runs/findings/expected_drift" \
  ${FINDINGS:+--findings "$FINDINGS"}
