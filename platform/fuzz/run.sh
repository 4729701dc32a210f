#!/bin/sh
# run.sh [SECONDS] [TARGET]: fuzzes for that long (default 600): ACPI's tables, beginning with real ones (`tables`, the
# default), or the tree of page tables (`tree`). What libFuzzer finds is kept below target/. Needs a nightly toolchain
# and a C++ compiler; no cargo-fuzz, no rust-src.
set -eu
cd "$(dirname "$0")"
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
flags="$flags -Zsanitizer=address -Ccodegen-units=1"
target=${CARGO_TARGET_DIR:-target}
RUSTFLAGS="$flags" cargo +nightly build --release --target x86_64-unknown-linux-gnu --target-dir "$target"
name=${2:-tables}
case "$name" in
    tables) more="-max_len=10000 ../src/devices/acpi/data" ;;
    tree) more="-max_len=73" ;;
    *) echo "no such target: $name" >&2; exit 2 ;;
esac
work="$target/corpus-$name"
mkdir -p "$work" "$target/crashes"
# Options may stand behind the folder that new inputs go to, which is the first. shellcheck disable=SC2086
exec "$target/x86_64-unknown-linux-gnu/release/$name" -max_total_time="${1:-600}" \
    -rss_limit_mb=1024 -timeout=60 -artifact_prefix="$target/crashes/" "$work" $more
