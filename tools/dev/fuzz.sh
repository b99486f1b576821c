# shellcheck shell=bash
# ./dev fuzz [SECONDS] [NAME]: runs every libFuzzer target, or NAME's, for
# SECONDS each. Seeds are fuzz/corpus/NAME, what fuzz_seeds writes, and files of
# test/ that other programs wrote; what a run finds new is kept in build/fuzz-corpus/NAME, an input that fails as
# build/fuzz-NAME-crash-*.
set -euo pipefail
. tools/dev/setup.sh
seconds=${1:-60}
only=${2:-}
case "$seconds" in
  *[!0-9]* | "") die "usage: ./dev fuzz [SECONDS] [NAME]" ;;
esac

if is_mac; then
  llvm=$(brew --prefix llvm)
  configure fuzz "-DCMAKE_C_COMPILER=$llvm/bin/clang" \
    "-DCMAKE_CXX_COMPILER=$llvm/bin/clang++"
fi
build fuzz fuzz_all
build/fuzz/fuzz/fuzz_seeds build/fuzz-seeds

failed=""
found=""
for program in build/fuzz/fuzz/fuzz_*; do
  [ -x "$program" ] || continue
  name=${program##*/fuzz_}
  [ "$name" != seeds ] || continue
  [ -z "$only" ] || [ "$only" = "$name" ] || continue
  found=yes
  mkdir -p "build/fuzz-corpus/$name"
  seeds=""
  for folder in "fuzz/corpus/$name" "build/fuzz-seeds/$name"; do
    [ ! -d "$folder" ] || seeds="$seeds $folder"
  done
  case "$name" in
    pickle | torch | zip) seeds="$seeds test/corpus/safety test/golden/torch" ;;
  esac
  say "fuzzing $name for $seconds s"
  # shellcheck disable=SC2086
  LSAN_OPTIONS=suppressions=tools/dev/lsan.supp:print_suppressions=0 \
    "$program" "build/fuzz-corpus/$name" $seeds \
    "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=2048 \
    -verbosity=0 -print_final_stats=1 "-artifact_prefix=build/fuzz-$name-" ||
    failed="$failed $name"
done
[ -n "$found" ] || die "no fuzz target${only:+ named $only}"
[ -z "$failed" ] || die "fuzzing failed:$failed (inputs in build/fuzz-NAME-*)"
say "fuzzing found nothing"
