#!/bin/sh
# Fuzzes the log: `rust/fuzz/run.sh [TARGET [SECONDS]]`. Targets: read, recover. Default: both, 20 seconds each.
# Works with the stable compiler; crashes are left in rust/fuzz/artifacts.
set -eu
cd "$(dirname "$0")"
target=${1:-}
seconds=${2:-20}
host=$(rustc -vV | sed -n 's/^host: //p')
# Coverage for the code under test, and the address sanitizer's absence: the crate has no unsafe code.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../../target/fuzz}
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
cargo build --quiet --release --target "$host"
mkdir -p corpus seeds artifacts
# Sound logs to begin from, made by an example of the log crate.
for seed in "2 int16 10 3 1" "1 float64 5 2" "3 bool 4 2"; do
    # shellcheck disable=SC2086 # the words are the arguments
    env -u RUSTFLAGS CARGO_TARGET_DIR=../../target cargo run --quiet -p daqring-log --manifest-path ../../Cargo.toml \
        --example write_geometry -- "seeds/$(echo "$seed" | tr ' ' '-').tdms" $seed >/dev/null 2>&1 || true
done
for name in ${target:-read recover}; do
    mkdir -p "corpus/$name"
    "$CARGO_TARGET_DIR/$host/release/$name" "corpus/$name" seeds -max_total_time="$seconds" -max_len=40000 \
        -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 -artifact_prefix=artifacts/ -print_final_stats=1
done
