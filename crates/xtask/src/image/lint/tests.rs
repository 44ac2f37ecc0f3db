//! A clean tree, and for each rule what breaks it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::rules::{RULES, Severity};
use super::state::path_of;
use super::tree::Tree;
use super::{Own, Report, findings, lines, prepare_root};

/// A tree that holds all rules.
fn clean() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in ["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var/lib"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    symlink("sysroot/ostree", root.join("ostree")).unwrap();
    symlink("../run", root.join("var/run")).unwrap();
    for (path, text) in [
        (
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\naios:x:780:780::/:/bin/false\n",
        ),
        ("etc/group", "root:x:0:\naios:x:780:\n+::::\n"),
        ("etc/hostname", "aios\n"),
        ("etc/tmpfiles.d/own.conf", "L /var/run - - - - ../run\n"),
        (
            "usr/lib/bootc/kargs.d/10.toml",
            "kargs = [\"init=/sbin/init\"]\nmatch-architectures = [\"x86_64\"]\n",
        ),
        ("usr/lib/modules/7.1/vmlinuz", "kernel"),
        ("usr/lib/modules/7.0-leftover/modules.dep", ""),
        (
            "usr/lib/ostree/prepare-root.conf",
            "# how\n[composefs]\nenabled = true\n",
        ),
        (
            "usr/lib/sysusers.d/a.conf",
            "# Users\nu! root 0 \"The \\\"root\\\"\" /root\n\nu aios -\n",
        ),
        (
            "usr/lib/tmpfiles.d/a.conf",
            "# State\nd /var/lib 0755 root root\n",
        ),
    ] {
        write(root, path, text);
    }
    dir
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn make_dir(root: &Path, path: &str) {
    std::fs::create_dir_all(root.join(path)).unwrap();
}

/// Names of broken rules and what was found.
fn broken(root: &Path) -> Vec<(&'static str, String)> {
    let tree = Tree::open(root).unwrap();
    let findings = findings(&tree).unwrap();
    findings
        .into_iter()
        .map(|finding| (finding.rule, finding.found))
        .collect()
}

type Break = fn(&Path);

/// Rule, what breaks it, and a part of what is said about it.
const BREAKS: &[(&str, Break, &str)] = &[
    (
        "api-base-directories",
        |root| std::fs::remove_dir(root.join("proc")).unwrap(),
        "/proc is missing",
    ),
    (
        "api-base-directories",
        |root| {
            std::fs::remove_dir(root.join("tmp")).unwrap();
            symlink("var/lib", root.join("tmp")).unwrap();
        },
        "/tmp is no directory",
    ),
    (
        "baseimage-composefs",
        |root| std::fs::remove_file(root.join("usr/lib/ostree/prepare-root.conf")).unwrap(),
        "no ostree/prepare-root.conf",
    ),
    (
        "baseimage-composefs",
        |root| {
            write(
                root,
                "etc/ostree/prepare-root.conf",
                "[composefs]\nenabled = no\n",
            )
        },
        "/etc/ostree/prepare-root.conf does not enable",
    ),
    (
        "baseimage-composefs",
        |root| write(root, "etc/ostree/prepare-root.conf", "[composefs]\nenabled\n"),
        "no `key = value`: enabled",
    ),
    (
        "baseimage-root",
        |root| std::fs::remove_dir(root.join("sysroot")).unwrap(),
        "/sysroot is missing",
    ),
    (
        "baseimage-root",
        |root| {
            std::fs::remove_file(root.join("ostree")).unwrap();
            symlink("/sysroot/ostree", root.join("ostree")).unwrap();
        },
        "/ostree leads to \"/sysroot/ostree\"",
    ),
    (
        "baseimage-root",
        |root| {
            std::fs::remove_file(root.join("ostree")).unwrap();
            make_dir(root, "ostree");
        },
        "/ostree is no link",
    ),
    (
        "baseimage-root",
        |root| {
            const OWN: &str = "usr/share/doc/bootc/baseimage/base";
            make_dir(root, &format!("{OWN}/sysroot"));
            write(
                root,
                &format!("{OWN}/usr/lib/ostree/prepare-root.conf"),
                "[root]\ntransient=true\n",
            );
        },
        "in /usr/share/doc/bootc/baseimage/base, the link /ostree is missing",
    ),
    (
        "bootc-kargs",
        |root| write(root, "usr/lib/bootc/kargs.d/20.toml", "kargs = \"quiet\"\n"),
        "/usr/lib/bootc/kargs.d/20.toml cannot be read: invalid type",
    ),
    (
        "bootc-kargs",
        |root| write(root, "usr/lib/bootc/kargs.d/20.toml", "kargs = []\nkarg = []\n"),
        "unknown field `karg`",
    ),
    (
        "buildah-injected",
        |root| write(root, "etc/resolv.conf", ""),
        "/etc/resolv.conf is empty",
    ),
    (
        "buildah-injected",
        |root| write(root, "etc/hostname", ""),
        "/etc/hostname is empty",
    ),
    (
        "etc-usretc",
        |root| make_dir(root, "usr/etc"),
        "both /etc and /usr/etc",
    ),
    (
        "kernel",
        |root| write(root, "usr/lib/modules/7.2/vmlinuz", "kernel"),
        "2 kernels: 7.1, 7.2",
    ),
    (
        "nonempty-boot",
        |root| write(root, "boot/initrd.img", "x"),
        "/boot/initrd.img",
    ),
    (
        "nonempty-boot",
        |root| std::fs::remove_dir(root.join("boot")).unwrap(),
        "/boot is missing",
    ),
    (
        "nonempty-run-tmp",
        |root| write(root, "tmp/finish.sh", ""),
        "/tmp/finish.sh",
    ),
    (
        "nonempty-run-tmp",
        |root| make_dir(root, "run/systemd/resolve/x"),
        "/run/systemd/resolve/x",
    ),
    (
        "sysusers",
        |root| {
            write(
                root,
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nbob:x:1:0::/:/bin/sh\n",
            )
        },
        "the user bob of /etc/passwd",
    ),
    (
        "sysusers",
        |root| write(root, "etc/group", "_ssh:x:990:\n"),
        "the group _ssh of /etc/group",
    ),
    (
        "sysusers",
        |root| write(root, "usr/lib/sysusers.d/b.conf", "u\n"),
        "b.conf has a line without a name: u",
    ),
    (
        "utf8",
        |root| std::fs::write(root.join(OsStr::from_bytes(b"etc/caf\xe9")), "").unwrap(),
        "/etc/caf\\xE9 has a name",
    ),
    (
        "utf8",
        |root| symlink(OsStr::from_bytes(b"\xff"), root.join("etc/odd")).unwrap(),
        "/etc/odd leads to a name",
    ),
    (
        "var-log",
        |root| {
            write(root, "var/log/apt/term.log", "installed");
            let all = "d /var/log\nd /var/log/apt\nf /var/log/apt/term.log\n";
            write(root, "usr/lib/tmpfiles.d/log.conf", all);
        },
        "/var/log/apt/term.log",
    ),
    (
        "var-run",
        |root| {
            std::fs::remove_file(root.join("var/run")).unwrap();
            make_dir(root, "var/run");
        },
        "/var/run is no link",
    ),
    (
        "var-tmpfiles",
        |root| make_dir(root, "var/lib/pkg"),
        "the directory /var/lib/pkg is declared",
    ),
    (
        "var-tmpfiles",
        |root| write(root, "var/lib/seed", "x"),
        "the file /var/lib/seed is declared",
    ),
    (
        "var-tmpfiles",
        |root| symlink("lib", root.join("var/other")).unwrap(),
        "the link /var/other is declared",
    ),
    (
        "var-tmpfiles",
        |root| write(root, "etc/tmpfiles.d/b.conf", "d\n"),
        "b.conf has a line without a path: d",
    ),
];

#[test]
fn a_clean_tree_holds_all_rules() {
    let dir = clean();
    assert_eq!(broken(dir.path()), []);
}

#[test]
fn each_rule_is_broken_by_its_tree_and_no_other_rule_is() {
    for (rule, spoil, part) in BREAKS {
        let dir = clean();
        spoil(dir.path());
        let found = broken(dir.path());
        let mut names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        names.dedup();
        assert_eq!(names, [*rule], "{found:?}");
        assert!(
            found.iter().any(|(_, what)| what.contains(part)),
            "{part}: {found:?}"
        );
    }
}

#[test]
fn every_rule_has_a_tree_that_breaks_it_and_says_what_to_do() {
    assert_eq!(RULES.len(), 14);
    assert!(RULES.is_sorted_by_key(|rule| rule.name));
    for rule in RULES {
        assert!(
            BREAKS.iter().any(|(name, ..)| *name == rule.name),
            "{}",
            rule.name
        );
        assert!(
            !rule.advice.is_empty() && !rule.advice.ends_with('.'),
            "{}",
            rule.name
        );
    }
}

#[test]
fn a_tree_that_breaks_several_rules_reports_all_of_them() {
    let dir = clean();
    let root = dir.path();
    make_dir(root, "usr/etc");
    write(root, "boot/grub", "");
    write(root, "run/lock", "");
    write(root, "etc/resolv.conf", "");
    let names: Vec<&str> = broken(root).iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "buildah-injected",
            "etc-usretc",
            "nonempty-boot",
            "nonempty-run-tmp"
        ]
    );
}

#[test]
fn what_a_container_mounts_in_run_and_an_efi_directory_pass() {
    let dir = clean();
    write(dir.path(), "run/systemd/resolve/stub-resolv.conf", "");
    make_dir(dir.path(), "boot/EFI");
    assert_eq!(broken(dir.path()), []);
}

#[test]
fn links_are_followed_within_the_tree_only() {
    let outside = tempfile::tempdir().unwrap();
    write(
        outside.path(),
        "prepare-root.conf",
        "[composefs]\nenabled = true\n",
    );
    let dir = clean();
    let conf = dir.path().join("usr/lib/ostree/prepare-root.conf");
    std::fs::remove_file(&conf).unwrap();
    symlink(outside.path().join("prepare-root.conf"), &conf).unwrap();
    let names: Vec<&str> = broken(dir.path()).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["baseimage-composefs"], "a file outside the tree was read");

    std::fs::remove_file(&conf).unwrap();
    write(dir.path(), "usr/share/how.conf", "[composefs]\nenabled = true\n");
    symlink("/usr/share/how.conf", &conf).unwrap();
    assert_eq!(
        broken(dir.path()),
        [],
        "an absolute link starts at the tree's top"
    );
}

#[test]
fn a_declaration_holds_for_the_directory_that_its_path_leads_to() {
    let dir = clean();
    make_dir(dir.path(), "var/roothome/.ssh");
    symlink("var/roothome", dir.path().join("root")).unwrap();
    write(
        dir.path(),
        "usr/lib/tmpfiles.d/root.conf",
        "d /var/roothome\nd /root/.ssh 0700\nd /missing/dir\n",
    );
    assert_eq!(broken(dir.path()), []);
}

#[test]
fn paths_of_tmpfiles_lines() {
    for (line, path) in [
        ("d /run/lock 0755 root root -", Some("/run/lock")),
        ("a+   /var/lib/x  - - -", Some("/var/lib/x")),
        ("d \"/run/two words\" 0700", Some("/run/two words")),
        (r"d /two\x20words\\ 0700", Some("/two words\\")),
        ("d", None),
        (r"d /bad\q", None),
        (r"d /bad\x2", None),
    ] {
        assert_eq!(path_of(line).as_deref(), path.map(Path::new), "{line}");
    }
}

#[test]
fn values_that_enable_composefs() {
    for (text, enabled) in [
        ("", false),
        ("[composefs]\nenabled=maybe\n", true),
        ("[composefs]\nenabled = signed\n", true),
        ("[composefs]\nenabled = perhaps\n", false),
        ("[other]\nenabled = true\n", false),
        ("[root]\ntransient = true\n", true),
    ] {
        assert_eq!(prepare_root::enabled(text), Ok(enabled), "{text}");
    }
}

/// Warnings count only when asked, what the image's own bootc says always.
#[test]
fn verdicts() {
    let dir = clean();
    write(dir.path(), "boot/grub", "");
    let tree = Tree::open(dir.path()).unwrap();
    let mut report = Report {
        rules: RULES.len(),
        findings: findings(&tree).unwrap(),
        bootc: Own::Absent,
    };
    assert_eq!(report.count(Severity::Warning), 1);
    assert!(report.holds(false) && !report.holds(true));
    assert_eq!(
        lines(&report)[1..],
        [
            "lint: 13 of 14 rules hold; fatal findings: 0, warnings: 1",
            "lint: SKIPPED `bootc container lint`: the image has no /usr/bin/bootc; its base brings none",
        ]
    );
    report.bootc = Own::Failed("Checks failed: 1".to_owned());
    assert!(!report.holds(false));
    report.bootc = Own::Passed;
    make_dir(dir.path(), "usr/etc");
    report.findings = findings(&tree).unwrap();
    assert!(!report.holds(false));
}

#[test]
fn many_findings_of_one_rule_are_summed_up() {
    let dir = clean();
    (0..8).for_each(|number| write(dir.path(), &format!("boot/{number}"), ""));
    let tree = Tree::open(dir.path()).unwrap();
    let report = Report {
        rules: RULES.len(),
        findings: findings(&tree).unwrap(),
        bootc: Own::Passed,
    };
    let lines = lines(&report);
    assert_eq!(lines.len(), 5 + 1 + 2);
    assert_eq!(lines[5], "warning: nonempty-boot: and 3 more");
}
