//! Faults in the kernel's answers: a seccomp filter hands chosen system calls of aios-init, its supervisor and all
//! below them to the test, which lets each go on, fail, or be the caller's last (seccomp_unotify(2)). What fails is
//! real for the program, and ends when the test says so.

#![expect(
    unsafe_code,
    reason = "a filter is installed between fork and exec, and its notifications are read by ioctl"
)]

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Pid1,
    Supervisor,
    /// A service, or a child that does not run its program yet.
    Other,
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) who: Who,
    pub(crate) number: libc::c_long,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    Go,
    Fail(i32),
    Kill,
}

type Decide = Box<dyn FnMut(Call) -> Verdict + Send>;

/// How processes and threads are made.
pub(crate) const FORK: &[libc::c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// The filter of one instance, and who answers it. It must outlive the instance.
pub(crate) struct Faults {
    decide: Arc<Mutex<Decide>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Faults {
    /// Has `calls` of what `start` starts asked for first; until [`Faults::set`] all go on.
    pub(crate) fn start<T>(
        mut command: Command,
        calls: &'static [libc::c_long],
        start: impl FnOnce(Command) -> T,
    ) -> (Self, T) {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::Datagram,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .unwrap();
        let filter = filter(calls);
        let theirs_raw = theirs.as_raw_fd();
        // SAFETY: the closure makes system calls on memory that was made before, nothing else.
        unsafe { command.pre_exec(move || hand_over(theirs_raw, install(&filter)?)) };
        let started = start(command);
        drop(theirs);
        let listener = receive(&ours);
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(|_| Verdict::Go)));
        let over = Arc::new(AtomicBool::new(false));
        let (decides, ends) = (decide.clone(), over.clone());
        let thread = std::thread::spawn(move || answer_all(&listener, &decides, &ends));
        let faults = Self {
            decide,
            over,
            thread: Some(thread),
        };
        (faults, started)
    }

    /// From now on.
    pub(crate) fn set(&self, decide: impl FnMut(Call) -> Verdict + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }

    /// All go on again.
    pub(crate) fn end(&self) {
        self.set(|_| Verdict::Go);
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking());
        }
    }
}

fn filter(calls: &[libc::c_long]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    // The number is the first field of `struct seccomp_data`.
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for number in calls {
        let number = u32::try_from(*number).unwrap();
        program.push(instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            number,
            0,
            1,
        ));
        program.push(instruction(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_USER_NOTIF,
            0,
            0,
        ));
    }
    program.push(instruction(
        libc::BPF_RET | libc::BPF_K,
        libc::SECCOMP_RET_ALLOW,
        0,
        0,
    ));
    program
}

/// Yields the descriptor at which the calls are told.
fn install(filter: &[libc::sock_filter]) -> io::Result<RawFd> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap(),
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its instructions live until the call returns.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(RawFd::try_from(listener).unwrap())
}

fn hand_over(socket: RawFd, listener: RawFd) -> io::Result<()> {
    let fds = [listener];
    let control = [nix::sys::socket::ControlMessage::ScmRights(&fds)];
    let bytes = [io::IoSlice::new(b"x")];
    nix::sys::socket::sendmsg::<()>(socket, &bytes, &control, MsgFlags::empty(), None)?;
    Ok(())
}

fn receive(socket: &OwnedFd) -> OwnedFd {
    let mut control = nix::cmsg_space!(RawFd);
    let mut byte = [0_u8];
    let mut bytes = [io::IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut bytes, Some(&mut control), flags).unwrap();
    let fd = message.cmsgs().unwrap().find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: just received, and owned by nobody else.
    unsafe { OwnedFd::from_raw_fd(fd.unwrap()) }
}

fn answer_all(listener: &OwnedFd, decide: &Mutex<Decide>, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        let mut poll = libc::pollfd {
            fd: listener.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid entry.
        if unsafe { libc::poll(&raw mut poll, 1, 50) } > 0 && poll.revents & libc::POLLIN != 0 {
            answer(listener, decide);
        }
    }
}

fn answer(listener: &OwnedFd, decide: &Mutex<Decide>) {
    // SAFETY: plain data for which zero is valid, and what the call wants to find.
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills `told`.
    if unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut told,
        )
    } < 0
    {
        // The caller was killed meanwhile.
        return;
    }
    let pid = i32::try_from(told.pid).unwrap();
    let call = Call {
        who: who(pid),
        number: libc::c_long::from(told.data.nr),
    };
    let verdict = (decide.lock().unwrap())(call);
    let mut answer = libc::seccomp_notif_resp {
        id: told.id,
        val: 0,
        error: 0,
        flags: 0,
    };
    match verdict {
        Verdict::Fail(errno) => answer.error = -errno,
        Verdict::Go => answer.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap(),
        Verdict::Kill => {
            // SAFETY: the caller waits for us, so that the number is still its.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            answer.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap();
        }
    }
    // A caller that is gone needs no answer.
    // SAFETY: the call reads `answer`.
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut answer,
        )
    };
}

/// By the names of a process and its parent: what the supervisor has just forked has the supervisor's.
fn who(pid: i32) -> Who {
    let Some((name, parent)) = name_and_parent(pid) else {
        return Who::Other;
    };
    let above = name_and_parent(parent).map(|(name, _)| name);
    match (name.as_str(), above.as_deref()) {
        ("aios-supervisor", Some("aios-init")) => Who::Supervisor,
        ("aios-init", Some("aios-init") | None) => Who::Other,
        ("aios-init", _) => Who::Pid1,
        _ => Who::Other,
    }
}

fn name_and_parent(pid: i32) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent))
}
