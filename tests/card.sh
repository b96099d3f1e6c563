#!/usr/bin/env bash
# Everything that only a card can show, in steps of at most 8 minutes, for a machine that may be reached for minutes only and
# has neither a network nor our packages.
#   tests/card.sh prepare   here, with nvcc: builds, and packs programs and libraries into .card.tar.xz, halves of a model into
#                           .card-model.1 and .card-model.2: no more than 64 MiB may travel at a time
#   tests/card.sh unpack    there: unpacks what came, into /tmp/evictbench-card; once for each of the three, the archive first
#   tests/card.sh STEP...   there: tests records memcheck racecheck initcheck limits attention prefill decode policies sweep needles
#                           peers, or `all`
# What a step prints goes to $OUT/STEP.txt as well (OUT: results/card if unset).
set -euo pipefail
cd "$(dirname "$0")/.."
CARD=/tmp/evictbench-card
OUT=${OUT:-results/card}
STEPS="tests records limits attention prefill decode policies sweep needles peers memcheck racecheck initcheck"
SHAPE=harness/shapes/llama-3.1-8b.json
REAL=.cache/real/SmolLM2-135M-Instruct.Q4_1.gguf

CARD_TESTS="attend attend_prefill attend_ragged cache decoder dense matmul observe products score"

prepare() {
  make setup
  cmake --preset release -DEVICTBENCH_CUDA=ON >/dev/null
  local names="evictbench benchmarks_cuda" test
  for test in $CARD_TESTS; do names="$names core_cuda_${test}_test_card"; done
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
      while read -r library; do [ -e "$CARD/lib/$(basename "$library")" ] || cp -L "$library" "$CARD/lib/"; done
  done
  python3 - "$CARD/heads.json" <<'EOF'
import json, sys  # any scores will do for random weights: 32 layers of 32 heads
json.dump({f"{layer}-{head}": [(37 * layer + 11 * head) % 101 / 100] for layer in range(32) for head in range(32)}, open(sys.argv[1], "w"))
EOF
  python3 -m pip download -q --no-deps -d "$CARD/wheels" kvpress==0.5.5 || echo "no kvpress to be had: step peers will lack it"
  # The programs hold the same kernels: a dictionary as large as all of them finds that.
  tar -C "$CARD" -cf - . | xz -T1 --lzma2=preset=2,dict=512MiB >.card.tar.xz
  rm -f .card-model.?
  if [ -f "$REAL" ]; then
    split -n 2 --numeric-suffixes=1 -a 1 "$REAL" .card-model.
  else
    echo "no $REAL (make real fetches it): step needles will lack it"
  fi
  du -sh .card*
}

unpack() {
  mkdir -p "$CARD"
  if [ -f .card.tar.xz ]; then tar -C "$CARD" -xJf .card.tar.xz; fi
  for half in .card-model.?; do if [ -f "$half" ]; then cp "$half" "$CARD/"; fi; done
  ls "$CARD"
}

program() {
  LD_LIBRARY_PATH="$CARD/lib:/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}" timeout 480 "$CARD/bin/$1" "${@:2}"
}

# bench of the 8B shape, in bf16
bench() {
  program evictbench bench --random-weights "$SHAPE" --device cuda --compute bf16 "$@"
}

step() {
  local t
  case $1 in
    tests)
      nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv
      if LD_LIBRARY_PATH="$CARD/lib:/usr/local/cuda/lib64" ldd "$CARD/bin/evictbench" | grep 'not found'; then exit 1; fi
      local bad=
      for t in $CARD_TESTS; do program "core_cuda_${t}_test_card" --gtest_brief=1 || bad="$bad $t"; done
      [ -z "$bad" ] || { echo "failed:$bad"; exit 1; }
      EVICTBENCH_CUDA_GRAPHS=1 program core_cuda_decoder_test_card --gtest_brief=1 ;;
    records)  # the same bytes as on the CPU
      for t in cpu cuda; do
        program evictbench run harness/sweeps/gate.yaml --device $t --compute f32 --set output.dir="$OUT/gate-$t"
      done
      cmp "$OUT/gate-cpu/records.jsonl" "$OUT/gate-cuda/records.jsonl"
      echo "records are the same" ;;
    memcheck | racecheck | initcheck)
      local bad=
      for t in $CARD_TESTS; do
        echo "== $t"
        LD_LIBRARY_PATH="$CARD/lib:/usr/local/cuda/lib64" timeout 48 compute-sanitizer --tool "$1" --error-exitcode 9 \
          "$CARD/bin/core_cuda_${t}_test_card" --gtest_brief=1 || bad="$bad $t($?)"
      done
      [ -z "$bad" ] || { echo "failed, with exit codes (9: findings, 124: cut off after 48 s):$bad"; exit 1; } ;;
    limits) program benchmarks_cuda --benchmark_filter='Product' ;;
    attention) program benchmarks_cuda --benchmark_filter='Attention' ;;
    prefill) bench --tokens 2048,8192,32768 --policy full --budgets 2048 --max-new 8 --repeat 3 ;;
    decode)
      bench --tokens 8192 --policy snapkv --budgets 2048 --points 30 --max-new 64 --repeat 3
      EVICTBENCH_CUDA_GRAPHS=1 bench --tokens 8192 --policy snapkv --budgets 2048 --points 30 --max-new 64 --repeat 3 ;;
    policies)
      bench --tokens 8192 --policy snapkv --policy pyramidkv --policy adakv --policy "headkv{head_scores=$CARD/heads.json}" \
        --policy "compresskv{head_scores=$CARD/heads.json}" --budgets 256,2048 --max-new 8 --repeat 3 ;;
    sweep)
      bench --tokens 32768 --policy snapkv --policy pyramidkv --policy adakv --policy streaming_llm --policy knorm \
        --budgets 64,128,256,512,1024,2048 --points 30 --max-new 64 --repeat 1 ;;
    needles)  # SmolLM2: the CPU's answers in f32, its accuracy in bf16
      cat "$CARD"/.card-model.[12] >"$CARD/smollm2.gguf"
      for t in "cpu f32" "cuda f32" "cuda bf16"; do
        # shellcheck disable=SC2086
        set -- $t
        program evictbench run harness/sweeps/real.yaml --set model.path="$CARD/smollm2.gguf" --device "$1" --compute "$2" \
          --set output.dir="$OUT/needles-$1-$2"
      done
      cat "$OUT"/needles-c*/results.md
      cmp "$OUT/needles-cpu-f32/records.jsonl" "$OUT/needles-cuda-f32/records.jsonl"
      echo "records in f32 are the same" ;;
    peers)
      python3 -m pip install -q --no-index --no-deps --target "$CARD/python" "$CARD"/wheels/*.whl
      PYTHONPATH="$CARD/python" timeout 480 python3 tests/benchmarks/card_peers.py "$SHAPE" --tokens 32768 --new 64 ;;
    *) echo "no step $1; steps: $STEPS" >&2; exit 2 ;;
  esac
}

case ${1:-} in
  prepare | unpack) "$1" ;;
  "" | -h | --help) sed -n '2,9p' "$0" ;;
  *)
    # shellcheck disable=SC2086
    [ "$1" = all ] && set -- $STEPS
    mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd)
    failed=
    for name in "$@"; do
      echo "== $name: $(date -u +%FT%TZ)"
      set +e  # within a list the shell would not stop at a failure either
      (set -e; step "$name") 2>&1 | tee "$OUT/$name.txt"
      [ $? = 0 ] || failed="$failed $name"
      set -e
    done
    [ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; } ;;
esac
