//! What goes wrong besides a crash: the disk of the worker's own state is full, and an interrupted call
//! can neither be taken back nor finished because somebody changed the place meanwhile.

use crate::common::{Answer, House, code, photograph, result};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A small disk that is unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        let size = Some(c"size=4m");
        rustix::mount::mount("aios-test", at, "tmpfs", rustix::mount::MountFlags::empty(), size).unwrap();
        Self(at.to_owned())
    }

    /// Fills it to the last page.
    fn fill(&self) {
        let mut length = 1 << 20;
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        while length > 0 {
            if ballast.write_all(&vec![0; length]).is_err() {
                length /= 2;
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test]
async fn nothing_changes_while_the_workers_disk_is_full_and_all_goes_on_with_room() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut disk = None;
    let house = House::with_process_in(|paths| {
        disk = Some(Disk::mount(&paths.state.join("worker/fs")));
    })
    .await;
    let disk = disk.unwrap();
    fs::write(house.path("a"), vec![7; 300_000]).unwrap();
    let before = photograph(&house.data);
    disk.fill();
    let delete = json!({"paths": [house.path("a")]});
    let write = json!({"path": house.path("a"), "content": "x".repeat(9000), "how": "overwrite"});
    let mut keys = Vec::new();
    for (tool, args) in [("fs.delete", &delete), ("fs.write", &write)] {
        let key = house.key();
        keys.push(key);
        let refused = house.call_as(house.token(), key, tool, args.clone()).await;
        let Answer::Failed(failed) = &refused else {
            panic!("{tool}: {refused:?}")
        };
        let error = failed.error.as_ref().unwrap();
        assert_eq!(error.code, "AIOS-TOOLS-0020", "{tool}");
        assert!(
            error.message.contains("full") && error.next_step.contains("space"),
            "{error:?}"
        );
        assert_eq!(photograph(&house.data), before, "{tool} left something half done");
    }
    let read = house.done("fs.stat", json!({"path": house.path("a")})).await;
    assert_eq!(read["size"], 300_000, "reading needs no room");
    fs::remove_file(disk.ballast()).unwrap();
    let key = house.key();
    result(house.call_as(house.token(), key, "fs.delete", delete).await);
    assert_ne!(photograph(&house.data), before);
    result(house.undo(key).await);
    assert_eq!(photograph(&house.data), before);
}

#[tokio::test]
async fn a_call_that_cannot_be_settled_says_so_until_it_can() {
    let mut house = House::with_process().await;
    fs::create_dir(house.path("place")).unwrap();
    for name in ["place/a", "place/b", "c"] {
        fs::write(house.path(name), name).unwrap();
    }
    let before = photograph(Path::new(&house.path("place")));
    let (key, args) = (
        house.key(),
        json!({"paths": [house.path("place/a"), house.path("place/b")]}),
    );
    house.arm("worker.fs.mid_effect");
    let lost = house
        .try_call(house.token(), key, "fs.delete", args.clone())
        .await;
    assert!(lost.is_err(), "{lost:?}");
    // Somebody moves the directory away before the worker is back.
    fs::rename(house.path("place"), house.path("moved")).unwrap();
    house.after_crash().await;
    let half = house
        .try_call(house.token(), key, "fs.delete", args.clone())
        .await;
    let said = match half {
        Ok(answer) => code(&answer),
        Err(status) => aios_core::rpc::report_of(&status).code,
    };
    assert_eq!(said, "AIOS-TOOLS-0027");
    // Other places are not held up by it.
    house.done("fs.delete", json!({"paths": [house.path("c")]})).await;
    fs::write(house.path("c"), "c").unwrap();
    fs::rename(house.path("moved"), house.path("place")).unwrap();
    house.restart_process().await;
    // Both names were caught when it was interrupted, so it is finished and not taken back.
    let Answer::Done(again) = house.call_as(house.token(), key, "fs.delete", args).await else {
        panic!("it is settled once it can be")
    };
    assert!(again.replayed);
    assert!(!Path::new(&house.path("place/a")).exists());
    result(house.undo(key).await);
    assert_eq!(photograph(Path::new(&house.path("place"))), before);
}
