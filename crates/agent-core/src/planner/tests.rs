use super::*;

fn runbooks() -> Vec<Runbook> {
    let text = include_str!("../../../../configs/runbooks/free-space-old-logs.toml");
    vec![Runbook::parse("free-space-old-logs.toml", text).unwrap()]
}

fn plan(text: &str) -> Result<Plan, Error> {
    from_words(&runbooks(), text, false, &mut TaskId::new)
}

#[test]
fn usual_wordings_of_the_shipped_runbook_are_understood() {
    for text in [
        "free space under /srv/logs: delete *.log older than 7 days, keep the newest 3",
        "Free up space on /srv/logs, delete *.log older than 7 days and keep the newest 3",
        "make some disk space in the directory '/srv/logs' by deleting all files *.log older than a week keep 3",
        "delete all *.log files older than 7d under /srv/logs/ but keep the latest three files",
        "free space under /srv/logs: remove \"*.log\" older than 168 hours, keeping the 3 newest.",
    ] {
        let plan = plan(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let clean = &plan.tasks[1];
        assert_eq!(
            clean.input,
            json!({"root": "/srv/logs", "name_glob": "*.log", "older_than_ms": 604_800_000, "keep_newest": 3}),
            "{text}"
        );
        assert!(clean.capabilities.contains(&"fs:delete:/srv/logs/**".to_owned()));
    }
}

#[test]
fn one_call_asks_for_each_place_that_its_patterns_name() {
    for (pattern, mutating, args, wanted) in [
        (
            "fs:delete:PATH",
            true,
            json!({"paths": ["/a", "/b"]}),
            &["fs:delete:/a", "fs:delete:/b"][..],
        ),
        (
            "fs:delete:PATH",
            true,
            json!({"path": "/a", "recursive": true}),
            &["fs:delete:/a", "fs:delete:/a/**"][..],
        ),
        (
            "fs:read:SOURCE/** fs:write:TARGET/**",
            true,
            json!({"source": "/a/", "target": "/b"}),
            &["fs:read:/a/**", "fs:write:/b/**"][..],
        ),
        (
            "fs:read:PATH/** fs:write:TARGET",
            true,
            json!({"paths": ["/a"], "target": "/b.tar.gz"}),
            &["fs:read:/a", "fs:read:/a/**", "fs:write:/b.tar.gz"][..],
        ),
    ] {
        assert_eq!(
            capabilities(pattern, mutating, &args).unwrap(),
            wanted,
            "{pattern} {args}"
        );
    }
    let relative = json!({"source": "a", "target": "/b"});
    assert!(capabilities("fs:read:SOURCE/**", true, &relative).is_err());
}

#[test]
fn nothing_is_kept_when_nothing_is_said_about_keeping() {
    let plan = plan("free space under /srv: delete *.tmp older than 2 hours").unwrap();
    assert_eq!(plan.tasks[1].input["keep_newest"], 0);
}

#[test]
fn wordings_that_do_not_fit_say_where() {
    for (text, part) in [
        (
            "free space under srv: delete *.log older than 7 days",
            "must be absolute",
        ),
        (
            "free space under /srv: delete logs older than 7 days",
            "`logs` is no file name pattern",
        ),
        (
            "free space under /srv: delete *.log older than 7",
            "expected a unit",
        ),
        (
            "free space under /srv: delete *.log younger than 7 days",
            "at `younger`",
        ),
        (
            "free space under /srv: delete *.log older than 7 days, keep the newest few",
            "at `few`",
        ),
        ("free space under /srv/../etc: delete * older than 7 days", "`..`"),
        (
            "free space under /srv: delete *.log older than 7 days and reboot",
            "at `reboot`",
        ),
    ] {
        let error = plan(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn what_fits_nothing_is_asked_back_with_examples() {
    let Err(Error::Intent(error)) = plan("why is the web service slow?") else {
        panic!("it must not be understood");
    };
    let question = question(&error, &runbooks());
    assert!(
        question.contains("free space under /var/log: delete *.log"),
        "{question}"
    );
}

#[test]
fn a_dry_run_has_no_proof_to_give() {
    let text = "free space under /srv: delete *.log older than 7 days";
    let plan = from_words(&runbooks(), text, true, &mut TaskId::new).unwrap();
    assert!(plan.tasks.iter().all(|task| !task.verifies));
    assert_eq!(crate::model::plan::check(&plan.tasks), Ok(()));
}

#[test]
fn a_call_asks_for_what_it_names_and_no_more() {
    let args = json!({"paths": ["/srv/a", "/srv/b"]});
    assert_eq!(
        capabilities("fs:delete:PATH", true, &args).unwrap(),
        ["fs:delete:/srv/a", "fs:delete:/srv/b"]
    );
    assert_eq!(
        capabilities("fs:search:PATH", false, &json!({"root": "/srv/"})).unwrap(),
        ["fs:search:/srv", "fs:search:/srv/**"]
    );
    assert_eq!(
        capabilities("hw:cpu:host", false, &json!({})).unwrap(),
        ["hw:cpu:host"]
    );
    assert_eq!(
        capabilities("pkg:install:NAME", true, &json!({"names": ["vim", "git"]})).unwrap(),
        ["pkg:install:vim", "pkg:install:git"]
    );
    assert_eq!(
        capabilities(
            "net:connect:HOST:PORT",
            false,
            &json!({"host": "a.example", "port": 443})
        )
        .unwrap(),
        ["net:connect:a.example:443"]
    );
    for (url, resource) in [
        ("https://A.example./x?y", "a.example:443"),
        ("http://a.example:8080", "a.example:8080"),
        ("HTTP://[2001:db8::1]/", "2001:db8::1:80"),
    ] {
        assert_eq!(
            capabilities("net:http_get:URL", false, &json!({"url": url, "private": false})).unwrap(),
            [format!("net:http_get:{resource}")]
        );
    }
    assert!(capabilities("net:http_get:URL", false, &json!({"url": "ftp://a.example/"})).is_err());
    assert_eq!(
        capabilities(
            "net:ping:HOST",
            false,
            &json!({"host": "Router.", "private": true})
        )
        .unwrap(),
        ["net:ping:router", "net:private:router"]
    );
    assert!(capabilities("service:stop:NAME", true, &json!({"name": "*"})).is_err());
    assert!(capabilities("service:stop:NAME", true, &json!({})).is_err());
    assert_eq!(
        capabilities("fs:list:PATH", false, &json!({"path": "/"})).unwrap(),
        ["fs:list:/**"]
    );
    for bad in [
        json!({}),
        json!({"path": "srv"}),
        json!({"path": "/srv/*"}),
        json!({"path": 3}),
    ] {
        assert!(capabilities("fs:stat:PATH", false, &bad).is_err(), "{bad}");
    }
}
