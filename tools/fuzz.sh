#!/usr/bin/env bash
# Fuzzes the libFuzzer programs of build/fuzz one after the other.
#
#     tools/fuzz.sh SECONDS [TARGET]
#
# SECONDS is for all targets together. Each starts from its seeds and from what earlier runs found
# (build/corpus/TARGET). Prints the edges reached; an input that crashes, hangs or eats memory is
# left in build/findings/ and makes the run fail.
set -uo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?seconds in total}
targets=()
for program in build/fuzz/fuzz/${2:-*}_fuzz; do
    [ -x "$program" ] && targets+=("$(basename "$program" _fuzz)")
done
if [ ${#targets[@]} = 0 ]; then
    echo "no fuzz target${2:+ $2}" >&2
    exit 1
fi

share=$((seconds / ${#targets[@]}))
[ "$share" -ge 1 ] || share=1

failed=0
for target in "${targets[@]}"; do
    corpus=build/corpus/$target log=build/corpus/$target.log
    mkdir -p "$corpus" build/findings
    if "build/fuzz/fuzz/${target}_fuzz" -max_total_time="$share" -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="build/findings/$target-" \
        "$corpus" "fuzz/seeds/$target" >"$log" 2>&1; then
        edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        printf 'fuzz %-20s ok      %3ss  edges %s  runs %s\n' \
            "$target" "$share" "${edges#cov: }" "$runs"
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
        printf 'fuzz %-20s FAILED\n' "$target"
    fi
done
echo "fuzz: $((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" = 0 ]
