#!/bin/sh
# Motion capture through the whole arrow, from the demo's backbone: the 15 public clips -> corpus -> model -> recall.
#   sh runs/motion.sh [DEMO] [OUT]      DEMO: folder of `autocompose demo --from-scratch`; needs the package pybullet for its clips
# The test clips are the ones that the demo has never seen. What has finished is only read.
set -e
demo=${1:-demo}
out=${2:-motion}
configs=$(dirname "$0")/../configs

autocompose prepare clips "$out/corpus" --size 128 --style varied --yaw 60 --wordings 0
autocompose describe rules "$out/corpus"
for stage in sum model; do  # without training on the clips
    autocompose evaluate "$demo/$stage" "$out/corpus" --texts rules --out "$out/zero-shot-$stage"
done
autocompose finetune "$out/corpus" --weights "$demo/model" --config "$configs/motion-finetune.toml" --out "$out/clip"
autocompose train "$out/corpus" --clip "$out/clip" --config "$configs/motion-combiner.toml" --out "$out/combiner"
for stage in clip combiner; do
    autocompose evaluate "$out/$stage" "$out/corpus" --texts rules
done
autocompose compare "$out/zero-shot-model" "$out/combiner/test"
