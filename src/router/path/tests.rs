use proptest::prelude::*;

use super::dots::resolve;
use super::*;

fn strict(target: &str) -> Result<String, PathFault> {
    canonicalise(target, &PathOptions::default()).map(|canonical| canonical.forward().to_owned())
}

fn compatible(target: &str) -> Result<String, PathFault> {
    let options = PathOptions { path_mode: PathMode::Compatible, ..PathOptions::default() };
    canonicalise(target, &options).map(|canonical| String::from_utf8_lossy(canonical.matched()).into_owned())
}

#[test]
fn sec_path_01_unreserved_are_decoded_and_dots_resolved() {
    for (target, path) in [
        ("/s/../admin", "/admin"),
        ("/s/%2e%2e/admin", "/admin"),
        ("/s/.%2E/admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/./admin", "/admin"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a%c3%a9", "/a%C3%A9"),
        ("/a%7e%2D", "/a~-"),
        ("/a%3ab", "/a%3Ab"),
        ("/a;b=c/d", "/a;b=c/d"),
        ("/a%252f", "/a%252f"),
        ("", "/"),
    ] {
        assert_eq!(strict(target).as_deref(), Ok(path), "{target}");
    }
}

#[test]
fn sec_path_02_repeated_slashes_are_merged() {
    for (target, path) in [("//admin", "/admin"), ("/a//b", "/a/b"), ("///", "/"), ("/a//", "/a/"), ("/a//../b", "/b")]
    {
        assert_eq!(strict(target).as_deref(), Ok(path), "{target}");
    }
}

#[test]
fn sec_path_03_what_hops_read_differently_is_refused() {
    for target in ["/a%2fb", "/a%2F", "/a%5cb"] {
        assert_eq!(strict(target), Err(PathFault::EncodedSlash), "{target}");
        let keep = PathOptions { encoded_slash: EncodedSlash::Keep, ..PathOptions::default() };
        let kept = canonicalise(target, &keep).unwrap();
        assert!(kept.has_encoded_slash());
        assert_eq!(kept.forward(), target.replace("%2f", "%2F").replace("%5c", "%5C"));
    }
    assert_eq!(strict("/a\\b"), Err(PathFault::Backslash));
    for target in ["/a%00", "/a%0a", "/a%7f", "/a\u{1}", "/a\u{7f}"] {
        assert_eq!(strict(target), Err(PathFault::Control), "{target}");
    }
    for target in ["/a%", "/a%4", "/a%zz", "/a%4g", "/%é"] {
        assert!(matches!(strict(target), Err(PathFault::BadEscape | PathFault::BadByte)), "{target}");
    }
}

#[test]
fn sec_path_04_dots_behind_parameters_are_refused() {
    for target in [
        "/s/..;/admin",
        "/s/.;x/admin",
        "/;/admin",
        "/;x=1/admin",
        "/s/..%3b/admin",
        "/s/%2e%2e%3Bx",
        "/%3b/admin",
        "/..;",
        "/s/..%253b/a",
    ] {
        let expected = if target.contains("%25") { Ok(target.to_owned()) } else { Err(PathFault::HiddenDots) };
        assert_eq!(strict(target), expected, "{target}");
    }
    let keep = PathOptions { encoded_slash: EncodedSlash::Keep, ..PathOptions::default() };
    for target in ["/a/..%2fadmin", "/a%2f..", "/a%2f.%5cb", "/a%2f..;x"] {
        assert_eq!(canonicalise(target, &keep), Err(PathFault::HiddenDots), "{target}");
    }
    for target in ["/admin;x/y", "/app/;jsessionid=1", "/a;.", "/a;../b"] {
        assert_eq!(strict(target).as_deref(), Ok(target));
    }
}

#[test]
fn sec_path_05_climbing_stops_at_the_root() {
    assert_eq!(strict("/../../admin").as_deref(), Ok("/admin"));
    assert_eq!(strict("/..").as_deref(), Ok("/"));
}

#[test]
fn sec_path_06_foreign_characters_are_refused_or_encoded() {
    let lenient = PathOptions { lenient_target: true, ..PathOptions::default() };
    for (sent, encoded) in [
        ("\"", "%22"),
        ("<", "%3C"),
        (">", "%3E"),
        (" ", "%20"),
        ("^", "%5E"),
        ("`", "%60"),
        ("{", "%7B"),
        ("}", "%7D"),
        ("|", "%7C"),
        ("é", "%C3%A9"),
        ("#", "%23"),
    ] {
        let fault = if sent == "#" { PathFault::Fragment } else { PathFault::BadByte };
        for target in [format!("/a{sent}"), format!("/a?{sent}")] {
            assert_eq!(strict(&target), Err(fault), "{target}");
        }
        let target = format!("/a{sent}?b{sent}");
        let canonical = canonicalise(&target, &lenient).unwrap();
        assert_eq!(canonical.forward(), format!("/a{encoded}"));
        assert_eq!(canonical.query(), Some(&*format!("b{encoded}")));
    }
    assert_eq!(canonicalise("/a\\", &lenient), Err(PathFault::Backslash));
}

#[test]
fn sec_path_09_the_query_never_matters_to_the_path() {
    let canonical = canonicalise("/a?/../admin&x=%zz&y[]=?", &PathOptions::default()).unwrap();
    assert_eq!((canonical.forward(), canonical.query()), ("/a", Some("/../admin&x=%zz&y[]=?")));
    assert!(canonical.is_as_sent());
}

#[test]
fn compatible_paths_are_decoded_once() {
    for (target, path) in [
        ("/a%2Fb", "/a/b"),
        ("/a%3Fb", "/a?b"),
        ("/a%2520", "/a%20"),
        ("/a//b", "/a/b"),
        ("/x/%2e%2e/a", "/a"),
        ("/a+b", "/a+b"),
        ("/a#b?c", "/a"),
        ("/a%2f..", "/"),
        ("/a\\b", "/a\\b"),
    ] {
        assert_eq!(compatible(target).as_deref(), Ok(path), "{target}");
    }
    assert_eq!(compatible("/.."), Err(PathFault::AboveRoot));
    assert_eq!(compatible("/a%00b"), Err(PathFault::Control));
    assert_eq!(compatible("/a%0"), Err(PathFault::BadEscape));
}

#[test]
fn a_compatible_target_is_forwarded_as_sent() {
    let options = PathOptions { path_mode: PathMode::Compatible, ..PathOptions::default() };
    let canonical = canonicalise("/x/..//a%2f%62?q", &options).unwrap();
    assert_eq!((canonical.matched(), canonical.forward()), (&b"/a/b"[..], "/x/..//a%2f%62"));
    assert!(canonical.is_as_sent());
}

#[test]
fn servlet_parameters_are_cut_for_matching_only() {
    for path_mode in [PathMode::Strict, PathMode::Compatible] {
        let options = PathOptions { path_mode, normalize_uri_like_servlet: true, ..PathOptions::default() };
        let canonical = canonicalise("/hello;w/x;y=1?z", &options).unwrap();
        assert_eq!((canonical.matched(), canonical.forward()), (&b"/hello/x"[..], "/hello;w/x;y=1"));
        for target in ["/;/a", "/.;", "/..;", "/%2e;", "/%2E%2E;", "/b/;/c"] {
            assert_eq!(canonicalise(target, &options), Err(PathFault::HiddenDots), "{target}");
        }
    }
}

#[test]
fn one_trailing_slash_is_dropped_but_never_the_root() {
    let options = PathOptions { delete_uri_tail_slash: true, ..PathOptions::default() };
    let matched = |target| canonicalise(target, &options).unwrap().matched().to_vec();
    assert_eq!(matched("/a/"), b"/a");
    assert_eq!(matched("/a"), b"/a");
    assert_eq!(matched("/"), b"/");
}

#[test]
fn an_encoded_slash_may_stay_while_matching() {
    let options =
        PathOptions { path_mode: PathMode::Compatible, match_uri_encoded_slash: true, ..PathOptions::default() };
    let canonical = canonicalise("/v1/x%2fy/list", &options).unwrap();
    assert_eq!((canonical.matched(), canonical.uri()), (&b"/v1/x%2Fy/list"[..], &b"/v1/x/y/list"[..]));
    let canonical = canonicalise("/v1/x%2Fy/../z", &options).unwrap();
    assert_eq!(canonical.matched(), b"/v1/x/z");
    assert_eq!(canonicalise("/x?n=%2Fy", &options).unwrap().matched(), b"/x");
}

#[test]
fn patterns_have_the_form_of_paths() {
    let literal = |text, is_first, is_prefix| {
        canonicalise_literal(text, is_first, is_prefix, PathMode::Strict).map(|text| String::from_utf8(text).unwrap())
    };
    assert_eq!(literal("/café", true, false).as_deref(), Ok("/caf%C3%A9"));
    assert_eq!(literal("/caf%c3%a9", true, false).as_deref(), Ok("/caf%C3%A9"));
    assert_eq!(literal("/a/../b//c?", true, false).as_deref(), Ok("/b/c%3F"));
    assert_eq!(literal("/a/./.", true, true).as_deref(), Ok("/a/."));
    assert_eq!(literal("/..", false, false), Err(PathFault::AboveRoot));
    assert_eq!(literal("/a\\", true, false), Err(PathFault::Backslash));
}

/// What a server makes of a path that decodes everything, drops parameters and then resolves dots.
fn lax(path: &str) -> String {
    let decoded = String::from_utf8_lossy(&decode(path.as_bytes())).into_owned();
    let bare: Vec<_> = decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    String::from_utf8_lossy(&resolve(bare.join("/").as_bytes()).0).into_owned()
}

proptest! {
    #[test]
    fn strict_paths_are_fixed_points(target in "/([a-c./;%]|%2e|%2E|%41|%3b|%20|%25|//|é|\\?){0,12}") {
        let keep = PathOptions { encoded_slash: EncodedSlash::Keep, lenient_target: true, ..PathOptions::default() };
        if let Ok(canonical) = canonicalise(&target, &keep) {
            let again = canonicalise(canonical.forward(), &keep).unwrap();
            prop_assert_eq!(again.forward(), canonical.forward());
            prop_assert!(again.is_as_sent());
        }
    }

    #[test]
    fn no_lax_server_reads_another_path(target in "/([a-c./;]|%2e|%2E|%41|%3b|%20|//|\\.\\.|/\\.\\./|;/){0,12}") {
        if let Ok(canonical) = canonicalise(&target, &PathOptions::default()) {
            // Parameters aside, which strict mode keeps as part of the segment that they stand in.
            let own = String::from_utf8_lossy(&decode(canonical.forward().as_bytes())).into_owned();
            let own: Vec<_> = own.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
            prop_assert_eq!(lax(canonical.forward()), own.join("/"));
        }
    }
}
