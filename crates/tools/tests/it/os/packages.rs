//! Packages on a machine of images: real Podman, real apt and dpkg in the smallest system that they work in, and a double of
//! bootc's command line.

use super::bed::{Bed, key};
use super::house::{BASE, House, hello, is_root, refused, text, with_hello};
use crate::common::{code, result};
use aios_core::id::ExecutionKey;
use aios_tests_packages::{Deb, system};
use serde_json::{Value, json};
use std::fs;

#[tokio::test]
async fn an_installed_package_is_in_an_image_made_of_the_one_that_runs_which_starts_next() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    let told = house.install(&["hello"]).await;
    let names: Vec<&str> = told["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["name"]))
        .collect();
    assert_eq!(names, ["hello", "libhello"]);
    assert_eq!(told["packages"][0]["version_now"], "2.10");
    let staged = house.bed.machine.status().unwrap()["staged"]["image"].clone();
    assert_eq!(staged["imageDigest"], told["image"]["digest"]);
    assert!(
        text(&staged["image"]["image"]).contains("/images:added-"),
        "{staged}"
    );
    assert_eq!(house.staged_file("usr/bin/hello").unwrap(), "echo hello\n");
    assert!(
        house
            .staged_file("usr/lib/sysimage/dpkg/status")
            .unwrap()
            .contains("Package: libhello")
    );
    // The layers of the base are here already: only the new one was laid out.
    let pulls = house.bed.machine.calls().unwrap();
    assert_eq!(pulls.iter().filter(|call| call.starts_with("switch")).count(), 1);
    assert!(!house.workshop(), "what it was made with is there still");
    assert_eq!(house.kept().len(), 2, "{:?}", house.kept());

    house.bed.machine.restart().unwrap();
    let status = house.bed.status().await;
    assert_eq!(status["packages"][0]["name"], "hello");
    assert_eq!(status["packages"][0]["version"], "2.10");
    assert_eq!(status["base"]["version"], "1.0");
    assert_eq!(status["base"]["image"], house.bed.image("os"));
    // It is there now.
    let again = house.install(&["hello"]).await;
    assert_eq!(again["image"], Value::Null);
    assert_eq!(house.bed.machine.status().unwrap()["staged"], Value::Null);
}

#[tokio::test]
async fn what_a_package_leaves_in_var_and_in_the_list_of_users_is_made_at_the_next_start() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    house.install(&["hello"]).await;
    let places = house
        .staged_file("usr/lib/tmpfiles.d/aios-packages.conf")
        .unwrap();
    for line in [
        "d /var/lib/hello 755 321 321",
        "C /var/lib/hello/state 644 0 0",
        "L /var/lib/hi - - - - hello",
    ] {
        assert!(places.lines().any(|it| it == line), "{places}");
    }
    assert!(
        !places.contains("/var/lib/dpkg") && !places.contains("/var/log/dpkg.log"),
        "{places}"
    );
    assert_eq!(
        house
            .staged_file("usr/share/factory/var/lib/hello/state")
            .unwrap(),
        "data\n"
    );
    let users = house
        .staged_file("usr/lib/sysusers.d/aios-packages.conf")
        .unwrap();
    for line in [
        "g hello 321",
        "u hello 321:321 \"Hello\" /var/lib/hello /usr/sbin/nologin",
        "g web 417",
    ] {
        assert!(users.lines().any(|it| it == line), "{users}");
    }
    assert_eq!(house.staged_file("var/lib/hello/state"), None);
}

#[tokio::test]
async fn scripts_of_packages_have_no_privilege_that_mounts_or_makes_devices() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    house.install(&["hello"]).await;
    let caps = house.staged_file("usr/share/hello-caps").unwrap();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let line = caps.lines().find(|line| line.starts_with(set)).unwrap();
        let bits = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // chown, dac_override, dac_read_search, fowner, fsetid, kill, setgid, setuid, setfcap.
        assert_eq!(bits, 0x8000_00ff, "{line}");
    }
}

#[tokio::test]
async fn an_undo_drops_the_image_and_nothing_of_it_remains() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    let old = house.bed.photo();
    let key = house
        .bed
        .change("pkg.install", json!({ "names": ["hello"] }))
        .await;
    assert_ne!(house.bed.photo(), old);
    result(house.bed.undo_in("pkg", key).await);
    assert_eq!(house.bed.photo(), old);
    assert_eq!(house.kept(), Vec::<String>::new());
}

#[tokio::test]
async fn a_package_that_cannot_be_had_is_told_in_apts_own_words_and_nothing_is_staged() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    let args = |name: &str| json!({ "names": [name] });
    let said = refused(&house, "pkg.install", args("absent"), "AIOS-OS-0010").await;
    assert!(
        said.contains("package `absent`") && said.contains("Unable to locate package absent"),
        "{said}"
    );
    let broken = Deb {
        scripts: &[("postinst", "echo no >&2; exit 7")],
        ..Deb::default()
    };
    house.publish("broken", "1.0", &broken);
    let said = refused(&house, "pkg.install", args("broken"), "AIOS-OS-0010").await;
    assert!(said.contains("error processing package broken"), "{said}");
    house.publish(
        "needy",
        "1.0",
        &Deb {
            control: "Depends: gone\n",
            ..Deb::default()
        },
    );
    let said = refused(&house, "pkg.install", args("needy"), "AIOS-OS-0010").await;
    assert!(said.contains("Depends: gone"), "{said}");
    let versions = json!({ "names": ["hello"], "versions": { "hello": "9" } });
    let said = refused(&house, "pkg.install", versions, "AIOS-OS-0010").await;
    assert!(said.contains("Version '9' for 'hello' was not found"), "{said}");
    assert_eq!(
        house
            .bed
            .machine
            .calls()
            .unwrap()
            .iter()
            .filter(|call| call.starts_with("switch"))
            .count(),
        0
    );
}

#[tokio::test]
async fn an_image_that_is_not_whole_is_not_laid_out() {
    if !is_root() {
        return;
    }
    let house = House::new().await;
    let args = |name: &str| json!({ "names": [name] });
    let kernel = Deb {
        files: &[("/usr/lib/modules/9.9/vmlinuz", "kernel")],
        ..Deb::default()
    };
    house.publish("linux", "9.9", &kernel);
    let said = refused(&house, "pkg.install", args("linux"), "AIOS-OS-0011").await;
    assert!(said.contains("usr/lib/modules/9.9/vmlinuz"), "{said}");
    let eats = Deb {
        scripts: &[("postinst", "rm /usr/share/base-files")],
        ..Deb::default()
    };
    house.publish("eater", "1.0", &eats);
    let said = refused(&house, "pkg.install", args("eater"), "AIOS-OS-0011").await;
    assert!(said.contains("/usr/share/base-files"), "{said}");
    house.publish("base-files", "14", &Deb::default());
    let pulls = Deb {
        control: "Depends: base-files (>= 14)\n",
        ..Deb::default()
    };
    house.publish("puller", "1.0", &pulls);
    let said = refused(&house, "pkg.install", args("puller"), "AIOS-OS-0011").await;
    assert!(
        said.contains("would be replaced that nobody named: base-files"),
        "{said}"
    );
    // Named, it is what a person agreed to.
    let told = house
        .bed
        .done("pkg.install", json!({ "names": ["puller", "base-files"] }))
        .await;
    assert_eq!(told["packages"][0]["version_now"], "14", "{told}");
}

#[tokio::test]
async fn only_packages_that_are_granted_are_put_on_the_list_or_taken_off_it() {
    let house = with_hello().await;
    let before = house.bed.photo();
    let key = house.bed.key();
    let list = json!({ "names": ["hello", "libhello"] });
    let earlier = json!({ "task_id": key.task.to_string(), "step": key.step });
    for (granted, tool, args) in [
        ("pkg:install:hello", "pkg.install", &list),
        ("pkg:remove:**", "pkg.install", &list),
        ("pkg:remove:hello", "pkg.remove", &list),
        ("pkg:install:**", "pkg.rollback", &earlier),
        ("os:*:**", "pkg.install", &list),
        ("os:*:**", "pkg.history", &json!({})),
    ] {
        let answer = house.bed.call_with(&[granted], tool, args.clone()).await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0005", "{granted} {tool}: {answer:?}");
    }
    assert_eq!(house.bed.photo(), before);
    assert_eq!(house.kept(), Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_that_bootc_did_not_install_gets_no_image() {
    let house = with_hello().await;
    fs::write(
        house.bed.machine.root().join("proc/cmdline"),
        "root=/dev/sda1 rw\n",
    )
    .unwrap();
    for (tool, args) in [
        ("pkg.install", json!({ "names": ["hello"] })),
        ("pkg.remove", json!({ "names": ["hello"] })),
        ("pkg.history", json!({})),
    ] {
        assert_eq!(code(&house.bed.call(tool, args).await), "AIOS-OS-0001", "{tool}");
    }
}

#[tokio::test]
async fn nothing_is_made_during_a_trial_or_while_something_is_staged_or_without_room() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    let args = json!({ "names": ["hello"] });
    house.install(&["libhello"]).await;
    refused(&house, "pkg.install", args.clone(), "AIOS-OS-0003").await;
    house.bed.machine.restart().unwrap();
    let entries = house.bed.machine.esp().join("loader/entries");
    let counted = |from: &str, to: &str| {
        for entry in fs::read_dir(&entries).unwrap() {
            let path = entry.unwrap().path();
            fs::rename(&path, path.to_str().unwrap().replace(from, to)).unwrap();
        }
    };
    counted(".conf", "+2-1.conf");
    refused(&house, "pkg.install", args.clone(), "AIOS-OS-0002").await;
    counted("+2-1.conf", ".conf");
    let said = refused(
        &house,
        "pkg.remove",
        json!({ "names": ["base-files"] }),
        "AIOS-PKG-0010",
    )
    .await;
    assert!(said.contains("belongs to the image itself"), "{said}");
    refused(&house, "pkg.configure", json!({}), "AIOS-PKG-0011").await;
    let system = system::archive(&BASE).unwrap();
    let large =
        |section: String| section.replace("reserve_bytes = 1048576", "reserve_bytes = 9000000000000000000");
    let full = House::of(Bed::with_system(&system, large).await);
    refused(&full, "pkg.install", args, "AIOS-OS-0006").await;
}

#[tokio::test]
async fn an_upgrade_has_the_packages_too_and_a_base_without_them_is_told_before_anything_is_staged() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    house.install(&["hello"]).await;
    house.bed.machine.restart().unwrap();
    let none = house.bed.done("os.upgrade", json!({})).await;
    assert_eq!(none["changed"], false);
    house.bed.release("2.0");
    let check = house.bed.done("os.check", json!({})).await;
    assert_eq!(
        (&check["available"], &check["image"]),
        (&json!(true), &json!(house.bed.image("os")))
    );
    // A newer version of it is there by now.
    house.publish("hello", "2.11", &hello());
    let told = house.bed.done("os.upgrade", json!({})).await;
    assert_eq!(
        (&told["changed"], &told["next"]["version"]),
        (&json!(true), &json!("2.0"))
    );
    assert_eq!(house.staged_file("etc/version").unwrap(), "2.0");
    assert!(
        house
            .staged_file("usr/lib/sysimage/dpkg/status")
            .unwrap()
            .contains("Version: 2.11")
    );
    house.bed.machine.restart().unwrap();
    let status = house.bed.status().await;
    assert_eq!(
        (&status["base"]["version"], &status["packages"][0]["version"]),
        (&json!("2.0"), &json!("2.11"))
    );
    assert_eq!(status["rollback"]["version"], "1.0");

    house.bed.release("3.0");
    house.ground.withdraw("hello_2.10_all.deb").unwrap();
    house.ground.withdraw("hello_2.11_all.deb").unwrap();
    house.offer();
    let said = refused(&house, "os.upgrade", json!({}), "AIOS-OS-0012").await;
    assert!(
        said.contains("package `hello`") && said.contains("Unable to locate package hello"),
        "{said}"
    );
    // The newer base must be somebody's whom the machine trusts, before anything is made of it.
    house.bed.machine.publish("os", "4.0", "kernel 4.0").unwrap();
    refused(&house, "os.upgrade", json!({}), "AIOS-OS-0004").await;
}

#[tokio::test]
async fn without_the_place_that_it_came_from_bootc_writes_out_what_runs() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    let store = house.bed.machine.store().display().to_string();
    house
        .bed
        .machine
        .turn(
            "podman",
            &format!("/usr/bin/podman --root={store}/root --runroot={store}/run"),
        )
        .unwrap();
    let base = house.bed.status().await["running"]["digest"].clone();
    fs::remove_dir_all(house.bed.machine.image("os")).unwrap();
    house.install(&["hello"]).await;
    let calls = house.bed.machine.calls().unwrap();
    assert!(
        calls.iter().any(|call| call.starts_with("image copy-to-storage")),
        "{calls:?}"
    );
    house.bed.machine.restart().unwrap();
    assert_eq!(house.bed.status().await["base"]["digest"], base);
    // The base stays here with what was made of it.
    house.publish("more", "1.0", &Deb::default());
    house.install(&["more"]).await;
    let calls = house.bed.machine.calls().unwrap();
    assert_eq!(calls.iter().filter(|call| call.starts_with("image")).count(), 1);
    let names: Vec<String> = house.kept();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn a_base_of_a_registry_is_fetched_with_the_digest_that_runs() {
    if !is_root() {
        return;
    }
    let system = system::archive(&BASE).unwrap();
    let bed = Bed::with_system(&system, |section| {
        format!("{section}unsigned = [\"docker://quay.io/org/*\"]\n")
    })
    .await;
    let house = House::of(bed);
    house.publish("libhello", "3.1", &Deb::default());
    house
        .bed
        .machine
        .push("quay.io/org/os:7", "7.0", "kernel seven")
        .unwrap();
    house
        .bed
        .change("os.switch", json!({ "image": "quay.io/org/os:7" }))
        .await;
    house.bed.machine.restart().unwrap();
    let told = house.install(&["libhello"]).await;
    assert!(
        text(&told["image"]["base"]).starts_with("docker://quay.io/org/os:7@sha256:"),
        "{told}"
    );
    house.bed.machine.restart().unwrap();
    house
        .bed
        .machine
        .push("quay.io/org/os:7", "7.1", "kernel seven and a bit")
        .unwrap();
    let told = house.bed.done("os.upgrade", json!({})).await;
    assert_eq!(told["next"]["version"], "7.1");
    assert!(
        house
            .staged_file("usr/lib/sysimage/dpkg/status")
            .unwrap()
            .contains("Package: libhello")
    );
}

#[tokio::test]
async fn the_history_speaks_of_images_and_a_rollback_brings_back_an_earlier_list() {
    if !is_root() {
        return;
    }
    let house = with_hello().await;
    house
        .bed
        .change("pkg.install", json!({ "names": ["libhello"] }))
        .await;
    house.bed.machine.restart().unwrap();
    let second = house
        .bed
        .change("pkg.install", json!({ "names": ["hello"] }))
        .await;
    house.bed.machine.restart().unwrap();
    let history = house.bed.done("pkg.history", json!({})).await;
    let image = |slot: &str| {
        let images = history["images"].as_array().unwrap();
        let image = images.iter().find(|it| it["slot"] == slot).unwrap();
        let added = image["added"].as_array().unwrap().iter();
        added.map(|it| text(&it["name"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(image("running"), ["libhello", "hello"]);
    assert_eq!(image("rollback"), ["libhello"]);
    assert_eq!(history["calls"].as_array().unwrap().len(), 2);
    assert_eq!(history["calls"][0]["packages"][0]["name"], "hello");
    let named = |key: &ExecutionKey| json!({ "task_id": key.task.to_string(), "step": key.step });
    // The image before is laid out still: then the machine goes back to it, and makes no other one.
    let said = refused(&house, "pkg.rollback", named(&second), "AIOS-OS-0008").await;
    assert!(said.contains("os.rollback"), "{said}");
    house.publish("more", "1.0", &Deb::default());
    house
        .bed
        .change("pkg.install", json!({ "names": ["more"] }))
        .await;
    house.bed.machine.restart().unwrap();
    let told = house.bed.done("pkg.rollback", named(&second)).await;
    assert_eq!(told["image"]["added"], json!(["libhello"]));
    house.bed.machine.restart().unwrap();
    // Without any package it is the image of somebody else again, who must be trusted.
    let none = json!({ "names": ["libhello"] });
    refused(&house, "pkg.remove", none, "AIOS-OS-0004").await;
    house.bed.machine.sign("os", &key(1)).unwrap();
    let removed = house
        .bed
        .done("pkg.remove", json!({ "names": ["libhello"] }))
        .await;
    assert_eq!(removed["image"], Value::Null);
    let staged = house.bed.machine.status().unwrap()["staged"]["image"]["image"]["image"].clone();
    assert_eq!(format!("oci:{}", text(&staged)), house.bed.image("os"));
    let unknown = json!({ "task_id": second.task.to_string(), "step": 99 });
    house.bed.machine.restart().unwrap();
    refused(&house, "pkg.rollback", unknown, "AIOS-TOOLS-0018").await;
}
