#!/bin/sh
# Fuzzes for the number of seconds given (default 600), with what libFuzzer finds added to a copy of
# the corpora of this folder and of inspect. Needs a nightly toolchain and a C++ compiler; no cargo-fuzz, no rust-src.
set -eu
cd "$(dirname "$0")"
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
flags="$flags -Zsanitizer=address -Ccodegen-units=1"
target=${CARGO_TARGET_DIR:-target}
RUSTFLAGS="$flags" cargo +nightly build --release --target x86_64-unknown-linux-gnu --target-dir "$target"
work="$target/corpus"
mkdir -p "$work" "$target/crashes"
exec "$target/x86_64-unknown-linux-gnu/release/tool" -max_total_time="${1:-600}" -max_len=30000 \
    -rss_limit_mb=1024 -timeout=10 -detect_leaks=0 -artifact_prefix="$target/crashes/" "$work" corpus ../../inspect/fuzz/corpus
