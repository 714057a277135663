#!/bin/sh
# The paper's claims on BodyCPR: 1 or 3 wordings, with and without reverse, mirror and cycle; three seeds each.
#   sh runs/ablation.sh [DEMO] [OUT]      DEMO: folder of `autocompose demo` (benchmark and pretrained encoder)
# Pictures are encoded once for all runs. What has finished is only read; the same command continues after a stop.
# OUT/results.txt: paired differences to auto_3 over all seeds; intervals resample cubes.
set -e
demo=${1:-demo}
out=${2:-ablation}
here=$(dirname "$0")
seeds=${SEEDS:-0 1 2}
mkdir -p "$out"

[ -e "$out/start/model.json" ] || python - "$demo" "$out/start" <<'PY'
import sys
from pathlib import Path
from autocompose.core.store import Manifest
from autocompose.demo.run import Demo
from autocompose.demo.settings import DemoSettings
from autocompose.model.checkpoint import Model, save_model
from autocompose.model.combiner import ElementwiseSum

record = Manifest(Path(sys.argv[1]), "demo").read()["settings"]
demo = Demo(Path(sys.argv[1]), DemoSettings.parse({k: v for k, v in record.items() if k != "seed"}), record["seed"])
save_model(Path(sys.argv[2]), Model(demo.pretrained(demo.corpus()), ElementwiseSum()))
PY

rows="auto_1 auto_3 auto-mirror_3 auto-reverse_3 auto-reverse_3-cycle auto-mirror-reverse_1-cycle auto-mirror-reverse_3 auto-mirror-reverse_3-cycle"
for row in $rows; do
    texts=${row%-cycle}
    cycle=--no-cycle
    [ "$texts" = "$row" ] || cycle=--cycle
    for seed in $seeds; do
        run="$out/$row/$seed"
        [ -e "$out/independent/$row/$seed/metrics.json" ] && continue
        autocompose finetune "$demo/corpus" --weights "$out/start" --texts "$texts" $cycle --seed "$seed" \
            --config "$here/../configs/ablation-finetune.toml" --cache "$out/cache" --out "$run/clip"
        autocompose train "$demo/corpus" --clip "$run/clip" --texts "$texts" $cycle --seed "$seed" \
            --config "$here/../configs/ablation-combiner.toml" --cache "$out/cache" --out "$run/combiner"
        autocompose evaluate "$run/combiner" "$demo/corpus" --key auto --keep 0 --cache "$out/cache" --out "$out/same-bank/$row/$seed"
        autocompose evaluate "$run/combiner" "$demo/corpus" --key sents --keep 0 --cache "$out/cache" --out "$out/independent/$row/$seed"
    done
done

for texts in same-bank independent; do
    for row in $rows; do
        [ "$row" = auto_3 ] && continue
        echo "== $texts texts: $row against auto_3"
        autocompose compare "$out/$texts/auto_3" "$out/$texts/$row"
    done
done | tee "$out/results.txt"
