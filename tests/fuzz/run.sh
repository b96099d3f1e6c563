#!/usr/bin/env bash
# run.sh BUILD SECONDS [TARGET...]: each fuzz target for so long, one after the other; new inputs go to BUILD/corpus/TARGET.
# run.sh BUILD merge [TARGET...]: puts into corpus/TARGET of the source tree the fewest inputs that reach all that is reached.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1 seconds=$2
shift 2
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for file in "$here"/*.cpp; do targets+=("$(basename "$file" .cpp)"); done

# Use after return is looked for by the asan preset; here it takes most of the time.
export ASAN_OPTIONS=detect_stack_use_after_return=0:malloc_context_size=4:quarantine_size_mb=16
limits=(-timeout=${FUZZ_TIMEOUT:-2} -rss_limit_mb=1024 -malloc_limit_mb=256)
found=0
for target in "${targets[@]}"; do
  program=$build/tests/fuzz/fuzz_$target corpus=$build/corpus/$target committed=$here/corpus/$target
  mkdir -p "$corpus" "$committed"
  case $target in sweep) words=yaml ;; gguf) words=gguf ;; *) words=json ;; esac
  case $target in gguf) most=8192 ;; *) most=4096 ;; esac
  if [ "$seconds" = merge ]; then
    fewest=$(mktemp -d)
    "$program" "${limits[@]}" -merge=1 "$fewest" "$corpus" "$committed" 2>/dev/null
    rm -f "$committed"/*
    cp "$fewest"/* "$committed"/
    rm -r "$fewest"
    echo "$target: $(ls "$committed" | wc -l) inputs, $(cat "$committed"/* | wc -c) bytes"
    continue
  fi
  log=$build/$target.log
  "$program" "${limits[@]}" -max_total_time="$seconds" -max_len=$most -dict="$here/dictionaries/$words.dict" \
    -artifact_prefix="$build/found-$target-" -print_final_stats=1 "$corpus" "$committed" >"$log" 2>&1 || found=1
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs," \
    "$(grep -o 'cov: [0-9]*' "$log" | tail -1), $(find "$build" -maxdepth 1 -name "found-$target-*" | wc -l) findings"
done
exit $found
