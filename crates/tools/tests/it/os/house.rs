//! A machine of images and packages that it can get.

use super::bed::Bed;
use crate::common::code;
use aios_tests_packages::{Bed as Ground, Deb, system};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A package of the base.
pub(crate) const BASE: [(&str, &str); 1] = [("base-files", "13")];

/// Whether this process may build and mount images; if not, the test has run again as root and passed.
pub(crate) fn is_root() -> bool {
    aios_tests_root::as_root().unwrap()
}

/// A machine, and packages that it can get.
pub(crate) struct House {
    pub(crate) bed: Bed,
    pub(crate) ground: Ground,
}

impl House {
    pub(crate) async fn new() -> Self {
        let system = system::archive(&BASE).unwrap();
        Self::of(Bed::with_system(&system, |section| section).await)
    }

    pub(crate) async fn with_process() -> Self {
        let system = system::archive(&BASE).unwrap();
        Self::of(Bed::with_process_of(&system).await)
    }

    pub(crate) fn of(bed: Bed) -> Self {
        let home = bed.home.path().join("ground");
        fs::create_dir_all(&home).unwrap();
        let ground = Ground::furnish(&home).unwrap();
        let root = bed.machine.root();
        fs::create_dir_all(root.join("etc/apt/apt.conf.d")).unwrap();
        fs::write(
            root.join("etc/apt/sources.list"),
            "deb [trusted=yes] file:/etc/apt/source ./\n",
        )
        .unwrap();
        fs::write(
            root.join("etc/apt/apt.conf.d/50test"),
            "APT::Sandbox::User \"root\";\n",
        )
        .unwrap();
        // Somebody of this machine, whom no package may be.
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:417:417::/var/lib/web:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nweb:x:417:\n").unwrap();
        let house = Self { bed, ground };
        house.offer();
        house
    }

    pub(crate) fn publish(&self, name: &str, version: &str, deb: &Deb<'_>) {
        self.ground.publish(name, version, deb).unwrap();
        self.offer();
    }

    /// What is published is what the machine's source has.
    pub(crate) fn offer(&self) {
        let to = self.bed.machine.root().join("etc/apt/source");
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(self.ground.source()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    pub(crate) async fn install(&self, names: &[&str]) -> Value {
        self.bed.done("pkg.install", json!({ "names": names })).await
    }

    /// Files of the image that starts next, by what the double laid out.
    pub(crate) fn staged_file(&self, path: &str) -> Option<String> {
        let image = self.bed.machine.status().unwrap()["staged"]["image"]["image"]["image"].clone();
        let layout = aios_deployment::image::Layout::open(image.as_str()?).unwrap();
        let mut found = None;
        for layer in &layout.manifest.layers {
            let blob = layout.dir().join("blobs/sha256").join(layer.digest.hex());
            let mut tar = tar::Archive::new(fs::File::open(blob).unwrap());
            for entry in tar.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.path().unwrap() == Path::new(path) {
                    let mut text = String::new();
                    std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
                    found = Some(text);
                }
            }
        }
        found
    }

    /// What the worker keeps of images.
    pub(crate) fn kept(&self) -> Vec<String> {
        let file = self.bed.paths.state.join("worker/os/images/index.json");
        let text = fs::read_to_string(file).unwrap_or_else(|_| r#"{"manifests": []}"#.to_owned());
        let index: Value = serde_json::from_str(&text).unwrap();
        let names = index["manifests"].as_array().unwrap().iter();
        let mut names: Vec<String> = names
            .map(|it| {
                it["annotations"]["org.opencontainers.image.ref.name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    }

    pub(crate) fn workshop(&self) -> bool {
        self.bed.paths.state.join("worker/os/build").exists()
    }
}

pub(crate) fn hello<'a>() -> Deb<'a> {
    Deb {
        control: "Depends: libhello\n",
        files: &[
            ("/usr/bin/hello", "echo hello\n"),
            ("/etc/hello.conf", "shipped\n"),
        ],
        scripts: &[(
            "postinst",
            "echo 'hello:x:321:321:Hello:/var/lib/hello:/usr/sbin/nologin' >>/etc/passwd\necho 'hello:x:321:' >>/etc/group\n\
             mkdir -p /var/lib/hello\nchown 321:321 /var/lib/hello\necho data >/var/lib/hello/state\n\
             ln -s hello /var/lib/hi\nsed -n '/^Cap/p' /proc/self/status >/usr/share/hello-caps",
        )],
    }
}

pub(crate) async fn with_hello() -> House {
    let house = House::new().await;
    house.publish("libhello", "3.1", &Deb::default());
    house.publish("hello", "2.10", &hello());
    house
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Refused with that code, and nothing is staged.
pub(crate) async fn refused(house: &House, tool: &str, args: Value, wanted: &str) -> String {
    let before = house.bed.starts();
    let answer = house.bed.call(tool, args).await;
    assert_eq!(code(&answer), wanted, "{answer:?}");
    assert_eq!(house.bed.starts(), before, "{tool} changed what starts next");
    assert!(!house.workshop(), "{tool} left what it was made with");
    format!("{answer:?}")
}
