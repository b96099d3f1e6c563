#!/usr/bin/env bash
# Everything that only a card can show, in steps of at most 8 minutes, for a machine that may be reached for minutes only and
# has neither a network nor our packages.
#   tests/card.sh prepare     here, with nvcc: builds, and puts programs, libraries and models into .card/
#   tests/card.sh STEP...     there: tests sanitizer limits attention prefill decode policies sweep needles peers; `all`
# What a step prints goes to $OUT/STEP.txt as well (OUT: results/card if unset).
set -euo pipefail
cd "$(dirname "$0")/.."
CARD=.card
OUT=${OUT:-results/card}
STEPS="tests limits attention prefill decode policies sweep needles peers sanitizer"
SHAPE=harness/shapes/llama-3.1-8b.json
SMOLLM2=${SMOLLM2:-/root/models/smollm2}

prepare() {
  make setup
  cmake --preset release -DEVICTBENCH_CUDA=ON >/dev/null
  local names="evictbench benchmarks_cuda" test
  for test in tests/core/cuda/*_test.cpp; do
    test=$(basename "$test" .cpp)
    [ "$test" = emulator_test ] || names="$names core_cuda_${test}_card"
  done
  # shellcheck disable=SC2086
  cmake --build build/release -j "$(nproc)" --target $names
  rm -rf "$CARD" && mkdir -p "$CARD/bin" "$CARD/lib"
  local name file library
  for name in $names; do
    file=build/release/$name
    [ -x "$file" ] || file=build/release/tests/$name
    strip -o "$CARD/bin/$name" "$file"
    # The C library and CUDA are the other machine's own.
    ldd "$file" | awk '{print $3}' | grep -E '^/' | grep -vE '/lib(c|m|dl|rt|pthread|cudart|cublas|cublasLt|cuda)\.so' |
      while read -r library; do cp -Ln "$library" "$CARD/lib/"; done
  done
  if [ -d "$SMOLLM2" ]; then mkdir -p "$CARD/smollm2" && cp "$SMOLLM2"/*.json "$CARD/smollm2/"; fi
  du -sh "$CARD"
}

program() {
  LD_LIBRARY_PATH="$PWD/$CARD/lib:/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}" timeout 480 "$CARD/bin/$1" "${@:2}"
}

step() {
  case $1 in
    tests)
      nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv
      for t in "$CARD"/bin/core_cuda_*_card; do program "$(basename "$t")" --gtest_brief=1; done ;;
    sanitizer)
      for tool in memcheck racecheck initcheck; do
        for t in "$CARD"/bin/core_cuda_*_card; do
          echo "== $tool $(basename "$t")"
          LD_LIBRARY_PATH="$PWD/$CARD/lib:/usr/local/cuda/lib64" timeout 150 compute-sanitizer --tool "$tool" \
            --error-exitcode 9 "$t" --gtest_brief=1 --gtest_filter='*Small*:*small*'
        done
      done ;;
    limits) program benchmarks_cuda --benchmark_filter='Limit|Product' ;;
    attention) program benchmarks_cuda --benchmark_filter='Attention' ;;
    prefill) program evictbench bench --random-weights "$SHAPE" --device cuda --compute bf16 --tokens 2048,8192,32768 \
      --policy full --budgets 2048 --points 1 --max-new 8 --repeat 3 ;;
    decode) program evictbench bench --random-weights "$SHAPE" --device cuda --compute bf16 --tokens 8192 \
      --policy snapkv --budgets 2048 --points 30 --max-new 64 --repeat 3 ;;
    policies) program evictbench bench --random-weights "$SHAPE" --device cuda --compute bf16 --tokens 8192 \
      --policy snapkv --policy pyramidkv --policy adakv --budgets 256,2048 --max-new 8 --repeat 3 ;;
    sweep) program evictbench bench --random-weights "$SHAPE" --device cuda --compute bf16 --tokens 32768 \
      --policy snapkv --policy pyramidkv --policy adakv --policy streaming_llm --policy knorm \
      --budgets 64,128,256,512,1024,2048 --max-new 64 --points 30 ;;
    *) echo "no step $1; steps: $STEPS" >&2; exit 2 ;;
  esac
}

case ${1:-} in
  prepare) prepare ;;
  "" | -h | --help) sed -n '2,6p' "$0" ;;
  *)
    [ "$1" = all ] && set -- $STEPS
    mkdir -p "$OUT"
    for name in "$@"; do
      echo "== $name: $(date -u +%FT%TZ)"
      step "$name" 2>&1 | tee "$OUT/$name.txt"
    done ;;
esac
