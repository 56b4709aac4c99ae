#!/usr/bin/env bash
# Checks what each crate promises to do without (see ARCHITECTURE.md). A promise
# about dependencies is checked in the resolved graph, so that a dependency of a
# dependency counts too; a promise about the standard library, in the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
broken=0
# Where Mindrail is served. `--target all` would count what only browsers need.
targets=(--target x86_64-unknown-linux-gnu --target aarch64-unknown-linux-gnu)

# without CRATE REASON NAME...: CRATE must not depend on any NAME, at any depth.
without() {
    local crate=$1 reason=$2
    shift 2
    local found
    found=$(cargo tree --locked --package "$crate" --edges normal --prefix none --format '{p}' "${targets[@]}" |
        awk '{print $1}' | sort -u | grep -Fx "$(printf '%s\n' "$@")" || true)
    report "$crate: $reason" "$found"
}

# absent PLACE... -- PATTERN REASON: no line of Rust code under PLACE matches.
absent() {
    local places=()
    while [ "$1" != -- ]; do places+=("$1"); shift; done
    local pattern=$2 reason=$3
    report "$reason" "$(grep -rnE --include='*.rs' "$pattern" "${places[@]}" | grep -vE ':[0-9]+: *//' || true)"
}

report() {
    if [ -n "$2" ]; then
        printf 'BROKEN   %s\n%s\n' "$1" "$2"
        broken=1
    else
        printf 'kept     %s\n' "$1"
    fi
}

async_runtimes=(tokio async-std smol async-io futures futures-util futures-executor)
http=(ureq reqwest hyper axum isahc attohttpc curl curl-sys minreq rustls native-tls openssl openssl-sys hf-hub)
databases=(rusqlite libsqlite3-sys sqlx sqlx-core diesel postgres tokio-postgres redis sled redb rocksdb)
randomness=(rand rand_core rand_chacha getrandom fastrand)
clocks=(chrono time jiff)
tensors=(gemm ndarray candle-core burn tch ort rayon tokenizers safetensors)

without mindrail-core "no async runtime" "${async_runtimes[@]}"
without mindrail-core "no HTTP" "${http[@]}"
without mindrail-core "no database" "${databases[@]}"
without mindrail-core "no randomness" "${randomness[@]}"
without mindrail-core "no clock" "${clocks[@]}"
without mindrail-core "no tensors" "${tensors[@]}"
without mindrail-core "nothing above it" mindrail-data mindrail-lab mindrail-llm mindrail-model mindrail
without mindrail-model "no async runtime" "${async_runtimes[@]}"
without mindrail-model "no HTTP" "${http[@]}"
without mindrail-model "no database" "${databases[@]}"
without mindrail-model "no other inference or training framework" candle-core burn tch ort tract-core rten
without mindrail-model "nothing above it" mindrail-data mindrail-finetune mindrail-lab mindrail-llm mindrail
without mindrail-finetune "no async runtime" tokio async-std smol async-io
without mindrail-finetune "no database" "${databases[@]}"
without mindrail-finetune "nothing above or beside it" mindrail-lab mindrail-llm mindrail-server mindrail
without mindrail-data "no async runtime" tokio async-std smol async-io
without mindrail-data "no database" "${databases[@]}"
without mindrail-data "no tensors" gemm ndarray candle-core burn tch ort tokenizers safetensors
without mindrail-data "nothing above or beside it" mindrail-lab mindrail-llm mindrail-model mindrail
without mindrail-llm "knows nothing of safety" mindrail-core mindrail-data mindrail-lab mindrail-model mindrail
without mindrail-llm "no database" "${databases[@]}"
without mindrail-lab "no database" "${databases[@]}"
without mindrail-lab "nothing above it" mindrail
without mindrail-server "fetches no data and no models" ureq hf-hub
without mindrail-server "no training or benchmark code" mindrail-lab mindrail-data mindrail-finetune candle-core
without mindrail-server "nothing above it" mindrail

absent crates/core/src -- 'std::(fs|net|env|time|process|thread)\b|std::io::std(in|out|err)' \
    "mindrail-core: no files, network, environment, clock, processes or threads"
absent crates/model/src -- 'std::net\b' "mindrail-model: no network"
absent crates/core/src crates/data/src crates/finetune/src crates/lab/src crates/llm/src crates/server/src src -- '\bunsafe (\{|fn|impl|extern)' "no unsafe code outside mindrail-model"
# The assistant behind the proxy is asked through mindrail-llm and nowhere else; beside it
# webhooks, a collector of traces and an identity provider are spoken to, where an
# operator names one.
report "mindrail-server: only webhooks, traces and identity providers use an HTTP client of its own, made in tls.rs" \
    "$(grep -rnE --include='*.rs' '\breqwest::' crates/server/src | grep -vE '^crates/server/src/(webhook|traces|tls|desk/identity)\.rs' || true)"
report "mindrail-model: unsafe code only in kernel/" \
    "$(grep -rnE --include='*.rs' '\bunsafe (\{|fn|impl|extern)' crates/model/src | grep -v '^crates/model/src/kernel/' || true)"

exit $broken
