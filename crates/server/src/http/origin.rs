//! Whose page a request comes from, as far as a browser says it. A program says nothing
//! of it; a browser sends `Host` always, and `Sec-Fetch-Site` or `Origin` with what a
//! page of another origin asks for.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// Whether the browser says that the request comes from this origin.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    match text(headers, "sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text(headers, "origin").is_some_and(|origin| is_of_host(origin, headers)),
    }
}

/// Whether the address in the browser names this machine: a name of somebody else's that
/// resolves to it does not (DNS rebinding).
pub(crate) fn is_this_machine(headers: &HeaderMap) -> bool {
    let host = text(headers, header::HOST.as_str()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether a browser asks for a page of another origin, or under a name that is not this
/// machine's.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::HOST) && !is_this_machine(headers) {
        return true;
    }
    match text(headers, "sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => text(headers, "origin").is_some_and(|origin| !is_of_host(origin, headers)),
    }
}

fn is_of_host(origin: &str, headers: &HeaderMap) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| text(headers, "host") == Some(host))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn only_this_origin_s_requests_are_ours() {
        for (pairs, expected) in [
            (vec![("host", "desk:1"), ("origin", "http://desk:1")], true),
            (vec![("host", "desk:1"), ("origin", "http://evil")], false),
            (vec![("host", "desk:1"), ("origin", "null")], false),
            (vec![("host", "desk:1")], false),
            (vec![("host", "desk:1"), ("origin", "null"), ("sec-fetch-site", "same-origin")], true),
            (vec![("host", "desk:1"), ("origin", "http://desk:1"), ("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(is_same_origin(&headers(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_foreign_name_of_this_machine_is_not_this_machine() {
        for (host, expected) in [
            ("127.0.0.1:8377", true),
            ("localhost:8377", true),
            ("[::1]:8377", true),
            ("127.0.0.1", true),
            ("evil.example:8377", false),
            ("localhost.evil.example", false),
            ("10.0.0.1:8377", false),
            ("", false),
        ] {
            assert_eq!(is_this_machine(&headers(&[("host", host)])), expected, "{host}");
        }
    }

    #[test]
    fn programs_and_this_machine_s_own_pages_are_from_here() {
        for (pairs, expected) in [
            (vec![], false),
            (vec![("host", "127.0.0.1:8377")], false),
            (vec![("host", "127.0.0.1:8377"), ("origin", "http://127.0.0.1:8377")], false),
            (vec![("host", "localhost:8377"), ("sec-fetch-site", "none")], false),
            (vec![("host", "localhost:8377"), ("sec-fetch-site", "same-origin")], false),
            (vec![("host", "localhost:8377"), ("sec-fetch-site", "same-site")], true),
            (vec![("host", "127.0.0.1:8377"), ("origin", "https://evil.example")], true),
            (vec![("host", "127.0.0.1:8377"), ("origin", "http://127.0.0.1:9000")], true),
            (vec![("host", "127.0.0.1:8377"), ("origin", "null")], true),
            (vec![("host", "evil.example:8377")], true),
        ] {
            assert_eq!(is_from_elsewhere(&headers(&pairs)), expected, "{pairs:?}");
        }
    }
}
