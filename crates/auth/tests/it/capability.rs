//! The capability language: exact errors, matching by segment, and that `covers` is sound.

use aios_auth::capability::{Access, Capability, CapabilitySet};
use aios_core::error::Coded;
use proptest::prelude::*;

fn cap(text: &str) -> Capability {
    Capability::parse(text).unwrap()
}

#[test]
fn misspelt_capabilities_say_what_is_wrong_and_where() {
    let cases = [
        ("", "has no action"),
        ("fs", "has no action"),
        ("fs:read", "has no resource"),
        ("fs:read:", "has no resource"),
        (":read:/a", "namespace `` must start"),
        ("Fs:read:/a", "namespace `Fs` must start"),
        ("*:read:/a", "namespace `*` must start"),
        ("fs:re ad:/a", "action `re ad` must start"),
        ("fs:read:a/b", "is not an absolute path at byte 8"),
        ("fs:read:**", "is not an absolute path at byte 8"),
        ("fs:read:/a/../b", "has a `.` or `..` segment at byte 11"),
        ("fs:read:/./b", "has a `.` or `..` segment at byte 9"),
        ("fs:read:/a//b", "has an empty segment at byte 11"),
        ("fs:read:/a/", "has an empty segment at byte 11"),
        ("fs:read:/a\0b", "has a NUL character"),
        ("fs:read:/a**/b", "has `**` beside other characters at byte 9"),
        ("net:connect:a**", "has `**` beside other characters"),
        ("net:connect:a\nb", "has a control character"),
    ];
    for (text, wanted) in cases {
        let error = Capability::parse(text).unwrap_err();
        assert!(error.to_string().contains(wanted), "{text:?}: {error}");
        assert!(error.code().starts_with("AIOS-AUTH-01"), "{text:?}");
        assert!(!error.to_string().contains(['\0', '\n']), "{text:?}");
    }
    assert_eq!(
        Capability::parse(&format!("fs:read:/{}", "a".repeat(9000)))
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0104"
    );
    assert!(Capability::parse(&format!("fs:read:/{}", "*/".repeat(200))).is_err());
}

#[test]
fn path_globs_match_by_segment_on_plain_paths_only() {
    let cases = [
        ("fs:read:/var/tmp/**", "/var/tmp", true),
        ("fs:read:/var/tmp/**", "/var/tmp/a/b", true),
        ("fs:read:/var/tmp/**", "/var/tmpfoo", false),
        ("fs:read:/var/tmp/**", "/var/tmp/../x", false),
        ("fs:read:/var/tmp/**", "/var/tmp/./x", false),
        ("fs:read:/var/tmp/**", "/var/tmp//x", false),
        ("fs:read:/var/tmp/**", "/var/tmp/x/", false),
        ("fs:read:/var/tmp/**", "var/tmp/x", false),
        ("fs:read:/var/tmp/**", "/var/tmp/a\0b", false),
        ("fs:read:/**", "/", true),
        ("fs:read:/**", "/a", true),
        ("fs:read:/", "/", true),
        ("fs:read:/", "/a", false),
        ("fs:read:/a/*", "/a/b", true),
        ("fs:read:/a/*", "/a/b/c", false),
        ("fs:read:/a/*", "/a", false),
        ("fs:read:/a/*.log", "/a/x.log", true),
        ("fs:read:/a/*.log", "/a/x.log.gz", false),
        ("fs:read:/a/x*y*z", "/a/x1y2yz", true),
        ("fs:read:/a/**/z", "/a/z", true),
        ("fs:read:/a/**/z", "/a/b/c/z", true),
        ("fs:read:/a/**/z", "/a/b/zz", false),
        ("fs:read:/a/**/b/*/c", "/a/b/b/x/c", true),
        ("fs:read:/a/b[c]?", "/a/b[c]?", true),
        ("fs:read:/a/b[c]?", "/a/bcx", false),
    ];
    for (pattern, path, wanted) in cases {
        assert_eq!(
            cap(pattern).allows("fs", "read", path),
            wanted,
            "{pattern} on {path:?}"
        );
    }
}

#[test]
fn names_match_without_crossing_colons_or_slashes() {
    let cases = [
        ("net:connect:*.example.org:443", "a.example.org:443", true),
        ("net:connect:*.example.org:443", "a.b.example.org:443", true),
        ("net:connect:*.example.org:443", "a.example.org:80", false),
        (
            "net:connect:*.example.org:443",
            "evil.net:1/.example.org:443",
            false,
        ),
        ("net:connect:*:443", "host:1:443", false),
        ("net:connect:**", "host:1:443", true),
        ("service:restart:nginx", "nginx", true),
        ("service:restart:nginx", "nginx2", false),
        ("service:restart:*", "a/../b", false),
        ("service:restart:*", "", false),
        ("service:restart:*", "/etc", false),
    ];
    for (pattern, name, wanted) in cases {
        let cap = cap(pattern);
        let action = cap.action().unwrap();
        assert_eq!(
            cap.allows(cap.namespace(), action, name),
            wanted,
            "{pattern} on {name:?}"
        );
    }
}

#[test]
fn namespace_and_action_must_fit() {
    let any = cap("fs:*:/a");
    assert!(
        any.allows("fs", "delete", "/a") && !any.allows("net", "delete", "/a") && !any.allows("fs", "", "/a")
    );
    assert!(!cap("fs:read:/a").allows("fs", "write", "/a"));
}

#[test]
fn an_access_is_concrete_and_its_star_is_a_character() {
    let access = Access::parse("fs:delete:/a/b*c").unwrap();
    assert!(cap("fs:delete:/a/*").allows_access(&access));
    assert!(!cap("fs:delete:/a/bxc").allows_access(&access));
    for bad in [
        "fs:delete:a",
        "fs:*:/a",
        "fs:delete:/a/../b",
        "fs:delete:/a/",
        "service:restart:",
    ] {
        assert!(Access::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn covering_is_by_part() {
    let cases = [
        ("fs:*:/**", "fs:read:/a/*", true),
        ("fs:read:/**", "fs:*:/a", false),
        ("fs:read:/a/**", "fs:read:/a", true),
        ("fs:read:/a/**", "fs:read:/a/**", true),
        ("fs:read:/a/**", "fs:read:/a/**/b/*", true),
        ("fs:read:/a/*", "fs:read:/a/**", false),
        ("fs:read:/a/*", "fs:read:/a/*.log", true),
        ("fs:read:/a/*.log", "fs:read:/a/*", false),
        ("fs:read:/a/b", "fs:read:/a/*", false),
        ("net:connect:*:443", "net:connect:*.org:443", true),
        ("net:connect:*:443", "net:connect:a:*", false),
        ("net:connect:**", "net:connect:a:*", true),
        ("net:connect:*", "net:connect:**", false),
        ("net:connect:**", "fs:read:/a", false),
    ];
    for (wide, narrow, wanted) in cases {
        assert_eq!(cap(wide).covers(&cap(narrow)), wanted, "{wide} covers {narrow}");
    }
}

#[test]
fn a_set_needs_every_layer() {
    let mut set = CapabilitySet::new(vec![cap("fs:*:/a/**"), cap("fs:read:/b")]);
    assert!(set.allows("fs", "delete", "/a/x") && set.allows("fs", "read", "/b"));
    set.narrow(vec![cap("fs:read:/**")]);
    assert!(!set.allows("fs", "delete", "/a/x") && set.allows("fs", "read", "/a/x"));
    set.narrow(Vec::new());
    assert!(!set.allows("fs", "read", "/a/x"));
    assert!(!CapabilitySet::default().allows("fs", "read", "/a"));
}

/// A path, a pattern that was made from it, and one that was made from that: alphabet small enough that
/// wildcards meet literals.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ab.]{1,3}".prop_filter("no dots alone", |s| s != "." && s != ".."),
        1 => Just("*".to_owned()),
        1 => "[ab]{0,1}\\*[ab]{0,1}",
        1 => Just("**".to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(segment(), 0..5).prop_map(|parts| format!("fs:read:/{}", parts.join("/")))
}

fn path() -> impl Strategy<Value = String> {
    let segment = "[ab.*]{1,3}".prop_filter("no dots alone", |s| s != "." && s != "..");
    prop::collection::vec(segment, 0..5).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn name_pattern() -> impl Strategy<Value = String> {
    "[ab:*]{1,5}"
        .prop_filter("no double star", |s| !s.contains("**"))
        .prop_map(|s| format!("net:connect:{s}"))
}

/// The slow and obvious matcher: tries every split.
fn reference(pattern: &[&str], path: &[&str]) -> bool {
    fn glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|cut| glob(rest, &text[cut..])),
            Some((own, rest)) => text
                .split_first()
                .is_some_and(|(c, tail)| own == c && glob(rest, tail)),
        }
    }
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|cut| reference(rest, &path[cut..])),
        Some((own, rest)) => path
            .split_first()
            .is_some_and(|(name, tail)| glob(own.as_bytes(), name.as_bytes()) && reference(rest, tail)),
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.trim_start_matches('/')
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn matching_agrees_with_the_slow_matcher(pattern in pattern(), path in path()) {
        let cap = cap(&pattern);
        prop_assert_eq!(cap.allows("fs", "read", &path), reference(&segments(cap.resource()), &segments(&path)));
    }

    #[test]
    fn what_a_covered_pattern_allows_the_covering_one_allows(wide in pattern(), narrow in pattern(), path in path()) {
        let (wide, narrow) = (cap(&wide), cap(&narrow));
        if wide.covers(&narrow) && narrow.allows("fs", "read", &path) {
            prop_assert!(wide.allows("fs", "read", &path), "{} covers {} but not {}", wide, narrow, path);
        }
    }

    #[test]
    fn covering_of_names_is_sound(wide in name_pattern(), narrow in name_pattern(), name in "[ab:*/]{1,5}") {
        let (wide, narrow) = (cap(&wide), cap(&narrow));
        if wide.covers(&narrow) && narrow.allows("net", "connect", &name) {
            prop_assert!(wide.allows("net", "connect", &name), "{} covers {} but not {}", wide, narrow, name);
        }
    }

    #[test]
    fn every_pattern_covers_itself_and_the_parser_keeps_its_text(pattern in pattern()) {
        let cap = cap(&pattern);
        prop_assert!(cap.covers(&cap));
        prop_assert_eq!(cap.to_string(), pattern);
    }

    #[test]
    fn the_parser_never_panics_and_errors_are_printable(text in "\\PC*|[a-z:/*.\\x00]{0,40}") {
        if let Err(error) = Capability::parse(&text) {
            prop_assert!(!error.to_string().contains('\0'));
        }
        let _ = Access::parse(&text).map(|access| cap("fs:*:/**").allows_access(&access));
    }

    #[test]
    fn no_pattern_allows_a_path_with_dot_dot(pattern in pattern(), a in path(), b in path()) {
        let sneaky = format!("{}/..{b}", a.trim_end_matches('/'));
        prop_assert!(!cap(&pattern).allows("fs", "read", &sneaky));
    }
}
