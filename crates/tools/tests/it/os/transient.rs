//! Packages until the next start: real Podman, apt and dpkg, a double of bootc's command line, and of init a table of mounts.

use super::house::{House, hello, is_root, refused, text, with_hello};
use crate::common::{Answer, code, result};
use aios_tests_packages::Deb;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// A program that has nothing outside `/usr`.
fn strace<'a>() -> Deb<'a> {
    Deb {
        control: "Depends: libstrace\n",
        files: &[("/usr/bin/strace", "echo trace\n")],
        scripts: &[("postinst", "chmod 4755 /usr/bin/strace")],
    }
}

async fn with_strace() -> House {
    let house = House::new().await;
    house.publish("libstrace", "3.1", &Deb::default());
    house.publish("strace", "6.1", &strace());
    house.publish("plain", "1.0", &Deb::default());
    house
}

fn args(names: &[&str]) -> Value {
    json!({ "names": names, "transient": true })
}

/// What lies over `/usr`, by the table of mounts.
fn laid(house: &House) -> Option<PathBuf> {
    let table = fs::read_to_string(house.bed.machine.root().join("proc/self/mountinfo")).unwrap_or_default();
    let name = aios_deployment::overlay::laid(&table)?;
    Some(aios_deployment::overlay::dir(&house.bed.paths.state).join(name))
}

fn transient(house: &House) -> PathBuf {
    aios_deployment::overlay::dir(&house.bed.paths.state)
}

#[tokio::test]
async fn a_package_until_the_next_start_is_there_at_once_and_stages_nothing() {
    if !is_root() {
        return;
    }
    let house = with_strace().await;
    let before = house.bed.photo();
    let told = house.bed.done("pkg.install", args(&["strace"])).await;
    assert_eq!(told["transient"], true);
    assert_eq!(told["image"], Value::Null);
    let names: Vec<&str> = told["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["name"]))
        .collect();
    assert_eq!(names, ["libstrace", "strace"]);
    let dir = laid(&house).expect("it lies over /usr");
    let program = dir.join("usr/bin/strace");
    assert_eq!(fs::read_to_string(&program).unwrap(), "echo trace\n");
    let about = fs::metadata(&program).unwrap();
    assert_eq!((about.uid(), about.permissions().mode() & 0o7777), (0, 0o4755));
    let database = fs::read_to_string(dir.join("usr/lib/sysimage/dpkg/status")).unwrap();
    assert!(database.contains("Package: libstrace"), "{database}");
    assert_eq!(
        fs::read_dir(&dir).unwrap().count(),
        2,
        "something else was unpacked"
    );
    assert_eq!(house.bed.photo(), before, "what starts next was changed");
    assert!(!house.workshop());
    let status = house.bed.status().await;
    assert_eq!(status["transient"][0]["name"], "strace");
    assert_eq!(status["transient"][0]["version"], "6.1");
    assert_eq!(status["packages"], json!([]));
    // Once more changes nothing.
    let again = house.bed.done("pkg.install", args(&["strace"])).await;
    assert_eq!(again["packages"], json!([]));
    assert_eq!(laid(&house), Some(dir));
}

#[tokio::test]
async fn a_second_call_has_what_the_first_had_too_and_undoing_it_goes_back_to_that() {
    if !is_root() {
        return;
    }
    let house = with_strace().await;
    let first = house.bed.change("pkg.install", args(&["strace"])).await;
    let one = laid(&house).unwrap();
    let second = house.bed.change("pkg.install", args(&["plain"])).await;
    let two = laid(&house).unwrap();
    assert_ne!(one, two);
    assert!(two.join("usr/bin/strace").exists());
    let names: Vec<String> = house.bed.status().await["transient"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["name"]).to_owned())
        .collect();
    assert_eq!(names, ["strace", "plain"]);
    // The first one is not what lies there.
    let early = house.bed.undo_in("pkg", first).await;
    assert_eq!(code(&early), "AIOS-TOOLS-0019", "{early:?}");
    result(house.bed.undo_in("pkg", second).await);
    assert_eq!(laid(&house), Some(one));
    result(house.bed.undo_in("pkg", first).await);
    assert_eq!(laid(&house), None);
    assert!(
        !transient(&house).exists(),
        "what nobody can go back to takes room"
    );
}

#[tokio::test]
async fn a_start_takes_them_away_and_an_undo_says_so() {
    if !is_root() {
        return;
    }
    let house = with_strace().await;
    let key = house.bed.change("pkg.install", args(&["strace"])).await;
    house.bed.machine.restart().unwrap();
    fs::write(house.bed.machine.root().join("proc/self/mountinfo"), "").unwrap();
    assert_eq!(house.bed.status().await["transient"], json!([]));
    let late = house.bed.undo_in("pkg", key).await;
    assert_eq!(code(&late), "AIOS-TOOLS-0019", "{late:?}");
    assert!(format!("{late:?}").contains("a start takes away"), "{late:?}");
    // What is left of it goes with the next change.
    house.bed.done("pkg.install", json!({ "names": ["plain"] })).await;
    assert!(!transient(&house).exists());
}

#[tokio::test]
async fn what_needs_more_than_usr_is_refused_with_what_it_needs() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    let said = refused(&house, "pkg.install", args(&["hello"]), "AIOS-OS-0014").await;
    for part in [
        "/etc/hello.conf",
        "the user hello",
        "the group hello",
        "/var/lib/hello",
        "transient",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(laid(&house), None);
    assert!(!transient(&house).exists(), "what was unpacked is there still");
    // Without a file in /etc it is the user alone.
    let user = Deb {
        files: &[],
        control: "",
        ..hello()
    };
    house.publish("user", "1.0", &user);
    let said = refused(&house, "pkg.install", args(&["user"]), "AIOS-OS-0014").await;
    assert!(
        said.contains("the user hello") && !said.contains("/etc/"),
        "{said}"
    );
    // And nobody lays a program over one of ours.
    let ours = Deb {
        files: &[("/usr/lib/aios/bin/aios-guard", "exit 0\n")],
        ..Deb::default()
    };
    house.publish("ours", "1.0", &ours);
    let said = refused(&house, "pkg.install", args(&["ours"]), "AIOS-OS-0014").await;
    assert!(said.contains("/usr/lib/aios/bin/aios-guard"), "{said}");
}

#[tokio::test]
async fn an_ordinary_install_stays_possible_beside_them() {
    if !is_root() {
        return;
    }
    let house = with_strace().await;
    house.bed.done("pkg.install", args(&["strace"])).await;
    let dir = laid(&house);
    house.bed.done("pkg.install", json!({ "names": ["plain"] })).await;
    assert_eq!(laid(&house), dir);
    let status = house.bed.machine.status().unwrap();
    assert!(status["staged"].is_object(), "{status}");
    assert_eq!(house.staged_file("usr/bin/strace"), None);
}

#[tokio::test]
async fn wherever_the_worker_is_killed_they_are_there_once_or_not_at_all() {
    if !is_root() {
        return;
    }
    let mut house = House::with_process().await;
    house.publish("plain", "1.0", &Deb::default());
    let before = house.bed.photo();
    for point in [
        "worker.os.mid_derive",
        "worker.os.unpacked",
        "worker.os.mid_lay",
        "worker.fs.after_commit",
    ] {
        let key = house.bed.key();
        house.bed.arm(point);
        let lost = house.bed.try_call(key, "pkg.install", args(&["plain"]), 0).await;
        assert!(lost.is_err(), "{point} did not interrupt");
        house.bed.after_crash().await;
        // Settled once nothing is left of making them: then they lie there, or there is nothing of them.
        while house.workshop() || laid(&house).is_none() && transient(&house).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let there = laid(&house).is_some();
        let Answer::Done(again) = house.bed.call_as(key, "pkg.install", args(&["plain"])).await else {
            panic!("{point}")
        };
        assert_eq!(again.replayed, there, "{point}");
        assert!(laid(&house).is_some(), "{point}");
        result(house.bed.undo_in("pkg", key).await);
        assert_eq!(laid(&house), None, "{point}");
        assert_eq!(house.bed.photo(), before, "{point}");
    }
}
