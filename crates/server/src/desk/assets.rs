//! Style and scripts, which are parts of the program. Their addresses hold a digest of
//! what they are, so that browsers may keep them for ever and still get new ones.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use mindrail_core::digest::sha256;

/// A file of the program.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset { name: "desk.css", kind: "text/css; charset=utf-8", content: include_str!("assets/desk.css") },
    Asset {
        name: "desk.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("assets/desk.js"),
    },
    Asset {
        name: "console.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("assets/console.js"),
    },
];

/// One digest for all of them.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: Vec<&str> = ASSETS.iter().map(|asset| asset.content).collect();
    sha256(all.concat().as_bytes())[..12].to_owned()
});

/// Where a page finds a file.
pub(super) fn address(name: &str) -> String {
    format!("/desk/assets/{name}?v={}", *VERSION)
}

/// A file, by its name.
pub(super) fn asset(name: &str) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers =
        [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.content).into_response()
}
