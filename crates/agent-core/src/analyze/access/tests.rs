//! The analyzers on evidence as the tools give it.

use super::super::testing::{causes, tell};
use crate::model::finding::Analysis;
use serde_json::{Value, json};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nshop:x:991:990::/srv/shop:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nshop:x:990:\nadm:x:4:shop,syslog\n";

/// As fs.stat says it; no mode means that nothing is there.
fn stat((path, kind, mode, uid, gid): (&str, &str, &str, u64, u64)) -> Value {
    if mode.is_empty() {
        return json!({"path": path, "exists": false, "size": 0, "mode": "", "uid": 0, "gid": 0, "mtime_ms": 0, "links": 0});
    }
    json!({"path": path, "exists": true, "kind": kind, "size": 3, "mode": mode, "uid": uid, "gid": gid,
        "mtime_ms": 1, "links": 1})
}

fn access(reason: &str, stats: &[(&str, &str, &str, u64, u64)]) -> Analysis {
    let path = stats.last().unwrap().0;
    let parts = [
        ("status", json!({"user": "shop", "group": "", "groups": []})),
        ("passwd", json!({"path": "/etc/passwd", "content": PASSWD})),
        ("group", json!({"path": "/etc/group", "content": GROUP})),
        ("stats", Value::Array(stats.iter().map(|it| stat(*it)).collect())),
    ];
    tell("path_access", &parts, json!({"reason": reason, "path": path}))
}

#[test]
fn owners_and_modes_are_told_apart() {
    let above = ("/srv", "dir", "0755", 0, 0);
    for (stats, cause, subject, mode) in [
        (
            vec![above, ("/srv/shop", "dir", "0700", 0, 0)],
            "wrong_owner",
            "/srv/shop",
            None,
        ),
        (
            vec![above, ("/srv/x.db", "file", "0644", 0, 0)],
            "wrong_owner",
            "/srv/x.db",
            None,
        ),
        (
            vec![above, ("/srv/x.db", "file", "0000", 991, 990)],
            "wrong_mode",
            "/srv/x.db",
            Some("0600"),
        ),
        (
            vec![above, ("/srv/shop", "dir", "0555", 991, 990)],
            "wrong_mode",
            "/srv/shop",
            Some("0755"),
        ),
        (
            vec![above, ("/srv/log", "dir", "0700", 0, 4)],
            "wrong_mode",
            "/srv/log",
            Some("0770"),
        ),
        (
            vec![
                above,
                ("/srv/a", "dir", "0700", 0, 0),
                ("/srv/a/b", "dir", "0755", 991, 990),
            ],
            "wrong_mode",
            "/srv/a",
            Some("0701"),
        ),
    ] {
        let analysis = access("denied", &stats);
        assert_eq!(causes(&analysis), [(cause, subject)], "{stats:?}");
        let values = &analysis.findings[0].values;
        assert_eq!(values.get("mode").and_then(Value::as_str), mode, "{stats:?}");
        assert_eq!(values["owner"], "shop");
    }
    assert!(
        access("denied", &[above, ("/srv/shop", "dir", "0755", 991, 990)])
            .findings
            .is_empty()
    );
}

#[test]
fn what_is_missing_is_told_by_what_it_is_for() {
    let above = ("/run", "dir", "0755", 0, 0);
    for (reason, stats, cause, subject) in [
        (
            "missing",
            vec![
                above,
                ("/run/shop", "", "", 0, 0),
                ("/run/shop/pid", "", "", 0, 0),
            ],
            "missing_directory",
            "/run/shop",
        ),
        (
            "missing",
            vec![above, ("/run/shop.key", "", "", 0, 0)],
            "missing_file",
            "/run/shop.key",
        ),
        (
            "workdir",
            vec![above, ("/run/shop", "", "", 0, 0)],
            "wrong_workdir",
            "/run/shop",
        ),
        (
            "program",
            vec![above, ("/run/shopd", "", "", 0, 0)],
            "missing_binary",
            "/run/shopd",
        ),
        (
            "program",
            vec![above, ("/run/shopd", "file", "0644", 0, 0)],
            "wrong_mode",
            "/run/shopd",
        ),
    ] {
        let analysis = access(reason, &stats);
        assert_eq!(causes(&analysis), [(cause, subject)], "{reason} {stats:?}");
    }
    let analysis = access(
        "missing",
        &[
            above,
            ("/run/shop", "", "", 0, 0),
            ("/run/shop/pid", "", "", 0, 0),
        ],
    );
    assert_eq!(analysis.findings[0].values["paths"], json!(["/run/shop"]));
}
