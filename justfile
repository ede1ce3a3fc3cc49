# `just` lists these. None is needed: each is one command.

_default:
    @just --list

# everything that CI runs
check:
    .ci/check

# the tests alone
test:
    cargo nextest run --workspace

# the whole thing on loopback, on real sources
demo:
    cargo build --release
    ./target/release/dccache demo

# measures against the peers; writes into bench/runs
bench *ARGS:
    cargo run --release -p dccache-bench -- {{ARGS}}

# writes the golden files anew: only with a new version byte or key context
bless:
    DCCACHE_BLESS=1 cargo nextest run -p dccache-protocol --test golden

# writes docs/options.md anew from the option table
options:
    DCCACHE_BLESS=1 cargo nextest run -p dccache --lib invocation::document

fmt:
    cargo fmt --all

# a thousand sampled compiles of real sources, with and without dccache
differential:
    cargo build --workspace
    cargo test -p dccache-tests --test sampler -- --ignored --nocapture
