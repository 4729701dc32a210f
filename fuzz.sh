# Sourced by the `fuzz/run.sh` of each crate, in its folder: builds the programs there with coverage for libFuzzer, and
# runs one. Needs a nightly toolchain and a C++ compiler; no cargo-fuzz, no rust-src.
#
#   fuzz NAME SECONDS FLAGS [OPTION OR CORPUS]…      FLAGS: the compiler's, beside those for coverage
#
# What libFuzzer finds is kept in target/corpus-NAME and target/crashes.
set -eu
fuzz() {
    name=$1 seconds=$2
    flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Ccodegen-units=1
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares $3"
    shift 3
    target=${CARGO_TARGET_DIR:-target}
    RUSTFLAGS=$(echo $flags) cargo +nightly build --release --target x86_64-unknown-linux-gnu --target-dir "$target"
    mkdir -p "$target/corpus-$name" "$target/crashes"
    # What lives as long as the program is no leak.
    ASAN_OPTIONS=detect_leaks=0 exec "$target/x86_64-unknown-linux-gnu/release/$name" -max_total_time="$seconds" \
        -rss_limit_mb=1024 -artifact_prefix="$target/crashes/" "$target/corpus-$name" "$@"
}
