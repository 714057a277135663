#!/bin/sh
# The paper's claims on BodyCPR: 1 or 3 wordings, with and without reverse, mirror and cycle; three seeds each.
#   sh runs/ablation.sh [DEMO] [OUT]      DEMO: folder of a finished `autocompose demo --from-scratch`, only read
#   SEEDS="0 1 2" CELLS=99                which seeds; stop after so many cells (one text source with one seed)
# Pictures are encoded once for all cells (docs/training.md has the sizes). A
# finished cell is only read, a stopped one continues. Each question of each seed counts in the paired differences of
# OUT/results.txt; intervals resample cubes.
set -e
demo=${1:-demo}
out=${2:-ablation}
here=$(dirname "$0")
seeds=${SEEDS:-0 1 2}
cells=${CELLS:-99}

[ -e "$out/start/model.json" ] || python "$here/ablation_start.py" "$demo" "$out"

cell() { # TEXTS[-cycle] SEED
    texts=${1%-cycle}
    cycle=--no-cycle
    [ "$texts" = "$1" ] || cycle=--cycle
    run="$out/runs/$1/$2"
    autocompose finetune "$out/corpus" --weights "$out/start" --texts "$texts" $cycle --seed "$2" \
        --config "$here/../configs/ablation-finetune.toml" --cache "$out/cache" --out "$run/clip"
    autocompose train "$out/corpus" --clip "$run/clip" --texts "$texts" $cycle --seed "$2" \
        --config "$here/../configs/ablation-combiner.toml" --cache "$out/cache" --out "$run/combiner"
    for key in auto sents; do # the bank that trained, and one that shares no wording with it
        autocompose evaluate "$run/combiner" "$out/corpus" --texts $key --keep 0 --cache "$out/cache" --out "$out/$key/$1/$2"
    done
    rm -f "$out"/cache/texts-* # those of this cell's text encoder; the pictures stay for all cells
}

done_cells=0
for seed in $seeds; do
    for row in auto-mirror-reverse_3-cycle auto-mirror-reverse_3 auto-mirror-reverse_1-cycle auto-reverse_3-cycle \
        auto-reverse_3 auto_3 auto-mirror_3 auto_1; do
        [ -e "$out/sents/$row/$seed/metrics.json" ] && continue
        [ "$done_cells" -lt "$cells" ] || exit 0
        cell "$row" "$seed"
        done_cells=$((done_cells + 1))
    done
done

for key in auto sents; do
    while read -r what first second; do
        echo "== $what, questions: $key: $second against $first"
        autocompose compare "$out/$key/$first" "$out/$key/$second"
    done << 'EOF'
cycle auto-mirror-reverse_3 auto-mirror-reverse_3-cycle
cycle auto-reverse_3 auto-reverse_3-cycle
wordings auto-mirror-reverse_1-cycle auto-mirror-reverse_3-cycle
wordings auto_1 auto_3
reverse auto_3 auto-reverse_3
reverse auto-mirror_3 auto-mirror-reverse_3
mirror auto_3 auto-mirror_3
mirror auto-reverse_3 auto-mirror-reverse_3
mirror auto-reverse_3-cycle auto-mirror-reverse_3-cycle
EOF
done | tee "$out/results.txt"
