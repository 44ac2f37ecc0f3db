//! For tests: a network of one's own.

/// Does something on a thread with a network namespace of its own; `None` where the test ran again as root and passed.
pub(super) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    if !aios_tests_root::as_root().unwrap() {
        return None;
    }
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread.join().unwrap()
    });
    Some(done)
}
