# Shortcuts for `just`. Each line works without it too.

# List the recipes.
default:
    @just --list

# See Mindrail at work on the shipped example.
demo:
    cargo run --release -- check --demo

# Run all tests.
test:
    cargo test --workspace --release

# What CI checks before the tests.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --release -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace --release
    scripts/promises.sh
    cargo deny check licenses bans sources

# All that CI does.
ci:
    .ci/run

# Train the embedded model (hours; see README.md, "Training").
train config="configs/embedded.toml":
    cargo run --release -- train embedded --config {{config}}

# Show the model card and verify the bundle's hashes.
inspect:
    cargo run --release -- model inspect

# Fuzz the reader (needs cargo-fuzz; see fuzz/README.md).
fuzz seconds="60":
    cargo fuzz run --sanitizer none reader -- -max_total_time={{seconds}}

# A longer search for bytes that make the reader panic, without cargo-fuzz.
search cases="20000":
    PROPTEST_CASES={{cases}} cargo test --release -p mindrail-core --lib reader::
