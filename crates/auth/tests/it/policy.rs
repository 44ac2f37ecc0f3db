//! Policy: layering, deny wins, taint raises, limits count; errors that point at the line; and the
//! policy that is shipped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aios_auth::level::{Autonomy, Risk};
use aios_auth::policy::{Effect, Ledger, Policy, PolicyCall, redact};
use aios_auth::protected::Protected;
use aios_core::error::Coded;
use aios_core::id::GoalId;
use aios_core::paths::Paths;
use proptest::prelude::*;
use serde_json::json;

const SHIPPED: &str = include_str!("../../../../configs/policy.toml");

fn shipped() -> Policy {
    Policy::parse(
        &[("policy.toml", SHIPPED)],
        Some(Protected::of(&Paths::installed())),
    )
    .unwrap()
}

fn change<'a>(tool: &'a str, autonomy: Autonomy, paths: &'a [&'a str]) -> PolicyCall<'a> {
    PolicyCall {
        tool,
        risk: Risk::Medium,
        mutating: true,
        autonomy,
        tainted: false,
        paths,
    }
}

fn rule(id: &str, rest: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\nnamespace = \"fs\"\n{rest}\n")
}

#[test]
fn the_shipped_policy_decides_as_promised() {
    use Autonomy::{Full, Manual, Supervised};
    use Effect::{Allow, Confirm, Deny};
    let policy = shipped();
    let read = PolicyCall::explain("fs.read");
    let tmp: &[&str] = &["/var/tmp/a"];
    let cases = [
        (read.clone(), Allow, "read"),
        (
            PolicyCall {
                tainted: true,
                autonomy: Manual,
                paths: tmp,
                ..read.clone()
            },
            Allow,
            "read",
        ),
        (
            PolicyCall {
                paths: &["/etc/passwd"],
                ..read.clone()
            },
            Allow,
            "read",
        ),
        (
            PolicyCall {
                paths: &["/etc/shadow"],
                ..read.clone()
            },
            Deny,
            "builtin:protected",
        ),
        (
            PolicyCall {
                paths: &["/var/lib/aios/guard/keys/mint"],
                ..read.clone()
            },
            Deny,
            "builtin:protected",
        ),
        (
            PolicyCall {
                risk: Risk::High,
                ..read.clone()
            },
            Deny,
            "builtin:default",
        ),
        (change("fs.delete", Supervised, tmp), Confirm, "change-supervised"),
        (change("fs.write", Supervised, tmp), Confirm, "change-supervised"),
        (change("fs.delete", Manual, tmp), Confirm, "change-supervised"),
        (change("fs.delete", Full, tmp), Allow, "change-full"),
        (
            PolicyCall {
                tainted: true,
                ..change("fs.delete", Full, tmp)
            },
            Confirm,
            "change-full",
        ),
        (
            PolicyCall {
                risk: Risk::High,
                ..change("fs.delete", Full, tmp)
            },
            Confirm,
            "change-risky",
        ),
        (change("fs.undo", Supervised, tmp), Allow, "undo"),
        (change("fs.undo", Manual, tmp), Confirm, "change-supervised"),
        (
            PolicyCall {
                risk: Risk::High,
                ..change("sec.undo", Full, tmp)
            },
            Confirm,
            "change-risky",
        ),
        (
            PolicyCall {
                risk: Risk::High,
                ..change("sec.undo", Supervised, tmp)
            },
            Confirm,
            "change-supervised",
        ),
        (change("fs.write", Full, &["/usr/bin/true"]), Deny, "system-files"),
        (
            change("fs.undo", Full, &["/var/tmp/a", "/usr/bin/true"]),
            Deny,
            "system-files",
        ),
        (
            change("fs.write", Full, &["/etc/passwd"]),
            Deny,
            "builtin:protected",
        ),
        (
            change("fs.write", Full, &["/run/aios/guard.sock"]),
            Deny,
            "builtin:protected",
        ),
        (
            change("fs.delete", Full, &["/var/lib"]),
            Deny,
            "builtin:protected",
        ),
        (
            change("fs.delete", Full, &["/home/a/.ssh/id_ed25519"]),
            Deny,
            "builtin:protected",
        ),
        (
            change("fs.delete", Full, &["/var/tmp/../lib/aios/x"]),
            Deny,
            "builtin:protected",
        ),
        (change("service.restart", Full, &[]), Allow, "change-full"),
        (
            change("service.restart", Supervised, &[]),
            Confirm,
            "change-supervised",
        ),
    ];
    for (call, effect, rule_id) in cases {
        let decision = policy.decide(&call);
        assert_eq!(
            (decision.effect, decision.rule_id.as_str()),
            (effect, rule_id),
            "{call:?}: {}",
            decision.reason
        );
    }
}

#[test]
fn deny_wins_over_later_rules_and_layers() {
    let vendor = rule("no", "effect = \"deny\"\npaths = \"/a/**\"");
    let admin = rule("yes", "effect = \"allow\"");
    let policy = Policy::parse(&[("v", &vendor), ("a", &admin)], None).unwrap();
    let decision = policy.decide(&change("fs.write", Autonomy::Full, &["/b", "/a/x"]));
    assert_eq!((decision.effect, decision.rule_id.as_str()), (Effect::Deny, "no"));
    assert_eq!(
        (decision.matched, decision.origin),
        (vec!["no".to_owned(), "yes".to_owned()], "v:2".to_owned())
    );
    assert_eq!(
        policy.decide(&change("fs.write", Autonomy::Full, &["/b"])).effect,
        Effect::Allow
    );
}

#[test]
fn the_administrators_rule_replaces_the_vendors_but_not_a_deny() {
    let vendor = rule("x", "effect = \"confirm\"");
    let admin = rule("x", "effect = \"allow\"");
    let policy = Policy::parse(&[("v", &vendor), ("a", &admin)], None).unwrap();
    assert_eq!(
        policy.decide(&change("fs.write", Autonomy::Full, &[])).effect,
        Effect::Allow
    );
    assert_eq!(policy.replaced().get("x").unwrap(), "v:2 by a:2");
    let vendor = rule("x", "effect = \"deny\"");
    let error = Policy::parse(&[("v", &vendor), ("a", &admin)], None).unwrap_err();
    assert_eq!(error.to_string(), "a:2: rule `x` cannot replace the deny at v:2");
}

#[test]
fn an_allow_needs_all_paths_a_confirm_any() {
    let text = rule("all", "effect = \"confirm\"") + &rule("some", "effect = \"allow\"\npaths = [\"/a/**\"]");
    let policy = Policy::parse(&[("p", &text)], None).unwrap();
    let effect = |paths| policy.decide(&change("fs.write", Autonomy::Full, paths)).effect;
    assert_eq!(effect(&["/a/x", "/a/y"]), Effect::Allow);
    assert_eq!(effect(&["/a/x", "/b"]), Effect::Confirm);
    assert_eq!(effect(&[]), Effect::Confirm);
}

#[test]
fn errors_name_file_line_key_and_the_nearest_key() {
    let cases = [
        (
            rule("x", "efect = \"deny\""),
            "p:4: unknown key `efect`; did you mean `effect`?",
        ),
        (
            "epok = 1\n".to_owned(),
            "p:1: unknown key `epok`; did you mean `epoch`?",
        ),
        (
            "[approval]\ntimeout = 1\n".to_owned(),
            "p:2: unknown key `timeout`; did you mean `timeout_ms`?",
        ),
        (rule("x", "effect = \"maybe\""), "p:4: unknown variant `maybe`"),
        (
            rule("x", "effect = \"deny\"\npaths = [\"a\"]"),
            "p:2: rule `x` has the path `a`, which is not an absolute path",
        ),
        (
            rule("x", "effect = \"deny\"\nfiles = 3"),
            "p:2: rule `x` denies, so its limits can never count",
        ),
        (
            rule("x", "effect = \"deny\"") + &rule("x", "effect = \"deny\""),
            "p:6: rule `x` appears twice",
        ),
        (
            rule("builtin:x", "effect = \"deny\""),
            "p:2: rule `builtin:x` needs an id",
        ),
        ("[[rule]]\nid = 3\n".to_owned(), "p:"),
        ("[[rule]\n".to_owned(), "p:1: "),
    ];
    for (text, wanted) in cases {
        let error = Policy::parse(&[("p", &text)], None).unwrap_err();
        assert!(error.to_string().starts_with(wanted), "{text}\n{error}");
        assert!(error.code().starts_with("AIOS-") && !error.next_step().is_empty());
    }
}

#[test]
fn an_older_policy_is_refused_and_the_digest_covers_all_layers() {
    let policy = Policy::parse(&[("v", "epoch = 3\n"), ("a", "epoch = 2\n")], None).unwrap();
    assert_eq!(policy.epoch(), 3);
    policy.check_epoch(3).unwrap();
    assert_eq!(policy.check_epoch(4).unwrap_err().code(), "AIOS-AUTH-0705");
    let joined = Policy::parse(&[("v", "epoch = 3\nepoc")], None);
    assert!(joined.is_err());
    let moved = Policy::parse(&[("v", "epoch = 3\n\n"), ("a", "epoch = 2")], None).unwrap();
    assert_ne!(moved.digest(), policy.digest());
}

#[test]
fn files_are_layered_and_must_not_be_writable_by_everybody() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::development(root.path());
    assert_eq!(Policy::load(&paths).unwrap_err().code(), "AIOS-AUTH-0701");
    for dir in [&paths.vendor, &paths.etc] {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(paths.vendor.join("policy.toml"), SHIPPED).unwrap();
    let state = paths.state.join("guard").display().to_string();
    let policy = Policy::load(&paths).unwrap();
    assert_eq!(
        policy
            .decide(&PolicyCall {
                paths: &[&state],
                ..PolicyCall::explain("fs.read")
            })
            .effect,
        Effect::Deny
    );
    let admin = paths.etc.join("policy.toml");
    fs::write(&admin, rule("mine", "effect = \"deny\"")).unwrap();
    assert_eq!(
        Policy::load(&paths)
            .unwrap()
            .decide(&PolicyCall::explain("fs.read"))
            .rule_id,
        "mine"
    );
    fs::set_permissions(&admin, PermissionsExt::from_mode(0o646)).unwrap();
    assert_eq!(Policy::load(&paths).unwrap_err().code(), "AIOS-AUTH-0703");
}

#[test]
fn limits_count_by_goal_and_rule() {
    let text =
        "[limits]\nfiles = 10\n".to_owned() + &rule("w", "effect = \"allow\"\nper_minute = 2\nbytes = 100");
    let policy = Policy::parse(&[("p", &text)], None).unwrap();
    let decision = policy.decide(&change("fs.write", Autonomy::Full, &[]));
    let (goal, other, mut ledger) = (GoalId::new(), GoalId::new(), Ledger::default());
    let code = |ledger: &Ledger, goal, files, bytes, now| {
        ledger
            .check(goal, &decision, files, bytes, now)
            .map_err(|error| error.code())
    };
    assert_eq!(code(&ledger, goal, 11, 0, 0), Err("AIOS-AUTH-0711"));
    assert_eq!(code(&ledger, goal, 1, 101, 0), Err("AIOS-AUTH-0711"));
    ledger.charge(goal, &decision, 6, 60, 0);
    assert_eq!(code(&ledger, goal, 5, 0, 1), Err("AIOS-AUTH-0711"));
    assert_eq!(code(&ledger, other, 5, 0, 1), Ok(()));
    ledger.charge(goal, &decision, 1, 1, 30_000);
    assert_eq!(code(&ledger, goal, 0, 0, 59_999), Err("AIOS-AUTH-0710"));
    assert_eq!(code(&ledger, goal, 0, 0, 60_000), Ok(()));
    ledger.forget(goal);
    ledger.restore(goal, 10, 0);
    assert_eq!(code(&ledger, goal, 1, 0, 60_000), Err("AIOS-AUTH-0711"));
}

#[test]
fn redaction_reaches_every_depth() {
    let mut args = json!({"content": "x", "items": [{"content": {"a": 1}, "path": "/p"}]});
    redact(&mut args, &["content".to_owned()]);
    assert_eq!(
        args,
        json!({"content": "***", "items": [{"content": "***", "path": "/p"}]})
    );
}

#[test]
fn protected_covers_by_whole_segments_links_and_names() {
    let root = tempfile::tempdir().unwrap();
    let real = root.path().join("real");
    fs::create_dir_all(real.join("var")).unwrap();
    std::os::unix::fs::symlink(&real, root.path().join("link")).unwrap();
    let protected = Protected::of(&Paths::development(&root.path().join("link")));
    let resolved = real.canonicalize().unwrap();
    for (path, mutating, wanted) in [
        (resolved.join("var/guard/key"), false, true),
        (root.path().join("link/var/x"), false, true),
        (resolved.join("vary"), false, false),
        (resolved.join("scratch/a"), true, false),
        ("/etc/shadowy".into(), false, false),
        ("/etc/passwd".into(), false, false),
        ("/etc/passwd".into(), true, true),
        ("/home/x/.ssh".into(), false, true),
        ("relative".into(), false, true),
        ("/a/../etc/shadow".into(), false, true),
    ] {
        assert_eq!(
            protected.covers(path.to_str().unwrap(), mutating),
            wanted,
            "{}",
            path.display()
        );
    }
    assert!(protected.is_above("/etc") && protected.is_above("/") && !protected.is_above("/srv"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn taint_and_more_paths_never_loosen(
        effects in prop::collection::vec((0..3_u8, any::<bool>(), 0..3_u8), 0..6),
        touched in prop::collection::vec(0..3_u8, 0..3),
        more in 0..3_u8,
    ) {
        let text: String = effects.iter().enumerate().map(|(at, (effect, with_path, path))| {
            let effect = ["allow", "confirm", "deny"][usize::from(*effect)];
            let paths = if *with_path { format!("paths = \"/{path}/**\"") } else { String::new() };
            rule(&format!("r{at}"), &format!("effect = \"{effect}\"\n{paths}"))
        }).collect();
        let policy = Policy::parse(&[("p", &text)], None).unwrap();
        let paths: Vec<String> = touched.iter().map(|n| format!("/{n}/x")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let call = change("fs.write", Autonomy::Full, &paths);
        let effect = policy.decide(&call).effect;
        let tainted = policy.decide(&PolicyCall { tainted: true, ..call.clone() }).effect;
        prop_assert!(tainted >= effect && tainted > Effect::Allow);
        let denied = effects.iter().any(|(e, with, path)| *e == 2 && (!with || touched.contains(path)));
        prop_assert!(!denied || effect == Effect::Deny);
        let further = format!("/{more}/y");
        let wider: Vec<&str> = paths.iter().copied().chain([further.as_str()]).collect();
        if effect == Effect::Deny && denied {
            prop_assert_eq!(policy.decide(&PolicyCall { paths: &wider, ..call }).effect, Effect::Deny);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,200}") {
        let _ = Policy::parse(&[("p", &text)], None);
    }
}

#[test]
fn denied_what_a_restore_put_aside() {
    let protected = Protected::of(&Paths::development(Path::new("/srv/x")));
    for path in [
        "/srv/x/var.aside/before-restore-1/guard/keys/mint",
        "/srv/x/etc.aside/before-restore-1/policy.toml",
        "/var/lib/aios.aside/before-restore-1/persons/0/key",
        "/etc/aios.aside",
    ] {
        assert!(protected.covers(path, false), "{path}");
    }
    assert!(protected.is_above("/srv/x") && !protected.covers("/srv/x/var.asides", false));
}
