//! The few system calls that have no safe form without allocation: messages with descriptors or
//! credentials, and the fork of PID 1.

#![expect(
    unsafe_code,
    reason = "recvmsg, sendmsg and fork without allocation; each block explained"
)]

use nix::libc;
use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for one descriptor or one set of credentials, aligned for control messages.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// What came with a message.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) length: usize,
    pub(crate) fd: Option<OwnedFd>,
    /// Process id of the sender, as the kernel says.
    pub(crate) pid: Option<i32>,
}

fn header(iov: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which zero is valid.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = iov;
    header.msg_iovlen = 1;
    header
}

/// Sends `bytes`, with a descriptor or without.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut control = Control([0; 64]);
    let mut iov = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut message = header(&mut iov);
    if let Some(fd) = fd {
        let size = u32::try_from(std::mem::size_of::<RawFd>()).unwrap_or(4);
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: `control` is aligned and larger than one header with one descriptor; the macros
        // only compute addresses inside it.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size) as usize;
            let first = libc::CMSG_FIRSTHDR(&raw const message);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(size) as usize;
            libc::CMSG_DATA(first)
                .cast::<RawFd>()
                .write_unaligned(fd.as_raw_fd());
        }
    }
    // SAFETY: `message` points to memory that lives until the call returns.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Closes every descriptor but the standard ones. For the start of process 1 alone, before it opened any.
pub(crate) fn close_inherited() {
    // SAFETY: the numbers are plain; no descriptor above 2 is owned by anything in this program yet.
    let _older_kernel_keeps_them = unsafe { libc::close_range(3, u32::MAX, 0) };
}

/// How a message is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Sleeps until there is one.
    Yes,
    /// Answers `WouldBlock` when there is none.
    No,
    /// The same, and leaves it there.
    Peek,
}

/// Receives one message into `bytes`.
pub(crate) fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], wait: Wait) -> io::Result<Received> {
    let mut control = Control([0; 64]);
    let mut iov = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut message = header(&mut iov);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    let how = match wait {
        Wait::Yes => 0,
        Wait::No => libc::MSG_DONTWAIT,
        Wait::Peek => libc::MSG_DONTWAIT | libc::MSG_PEEK,
    };
    let flags = libc::MSG_CMSG_CLOEXEC | how;
    // SAFETY: `message` points to memory that lives until the call returns.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let mut received = Received {
        length,
        ..Received::default()
    };
    // SAFETY: the kernel filled `control`; the macros stay inside `msg_controllen`. Each descriptor
    // in it is new and owned by nobody else.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&raw const message);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    received.fd = Some(OwnedFd::from_raw_fd(data.cast::<RawFd>().read_unaligned()));
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    received.pid = Some(data.cast::<libc::ucred>().read_unaligned().pid);
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(&raw const message, at);
        }
    }
    Ok(received)
}

/// A program that can be started again and again without allocation.
pub(crate) struct Image {
    path: CString,
    _strings: Vec<CString>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// `NAME=` and room for a number, which is the only thing that differs between starts.
    counter: Vec<u8>,
    counter_from: usize,
}

impl Image {
    /// `counter` is the name of the variable that holds the number of the start.
    pub(crate) fn new(path: CString, args: Vec<CString>, env: Vec<CString>, counter: &str) -> Self {
        let mut text = format!("{counter}=").into_bytes();
        let counter_from = text.len();
        text.resize(counter_from + 12, 0);
        let ends = |list: &[CString]| {
            list.iter()
                .map(|s| s.as_ptr())
                .chain([std::ptr::null()])
                .collect::<Vec<_>>()
        };
        let argv = ends(&args);
        let mut envp = ends(&env);
        envp.insert(0, text.as_ptr().cast());
        let strings = args.into_iter().chain(env).collect();
        Self {
            path,
            _strings: strings,
            argv,
            envp,
            counter: text,
            counter_from,
        }
    }

    fn set_counter(&mut self, number: u32) {
        let mut divisor = 1;
        while number / divisor >= 10 {
            divisor *= 10;
        }
        let mut places = self.counter.iter_mut().skip(self.counter_from);
        while divisor > 0 {
            if let Some(place) = places.next() {
                *place = b'0' + u8::try_from(number / divisor % 10).unwrap_or(0);
            }
            divisor /= 10;
        }
        if let Some(place) = places.next() {
            *place = 0;
        }
    }

    /// Starts the program as the `number`th, with `link` as descriptor `target`; it gets SIGTERM when
    /// the calling process dies. Yields its process id.
    pub(crate) fn start(&mut self, number: u32, link: BorrowedFd<'_>, target: RawFd) -> io::Result<i32> {
        self.set_counter(number);
        let own = std::process::id();
        // SAFETY: the child only makes async-signal-safe calls on memory made before, then execs or
        // ends; the parent has one thread.
        unsafe {
            let pid = libc::fork();
            if pid != 0 {
                return if pid < 0 {
                    Err(io::Error::last_os_error())
                } else {
                    Ok(pid)
                };
            }
            libc::setsid();
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            if u32::try_from(libc::getppid()).ok() != Some(own) {
                libc::_exit(126);
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            if link.as_raw_fd() == target {
                libc::fcntl(target, libc::F_SETFD, 0);
            } else {
                libc::dup2(link.as_raw_fd(), target);
            }
            libc::execve(self.path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
            libc::_exit(127)
        }
    }
}

/// Takes the descriptor that the parent put at `fd`, if it is a socket.
pub(crate) fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: called once, at start, before anything else opened a descriptor with this number.
    let owned = unsafe {
        let mut kind: c_int = 0;
        let mut size = 4;
        let asked = libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut size,
        );
        if asked < 0 {
            return None;
        }
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        OwnedFd::from_raw_fd(fd)
    };
    Some(owned)
}

/// Time since the machine started, with the time it slept.
pub(crate) fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// Time that the machine has been awake since it started.
pub(crate) fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// `struct pidfd_info` of the kernel as it first was (linux/pidfd.h).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`: asks for the exit status, and says that it is there.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How a process ended, as waitpid(2) encodes it, also when somebody else has reaped it; none as long as nobody
/// has.
///
/// # Errors
/// The kernel is older than 6.15 and does not know.
pub(crate) fn exit_of(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    let request = libc::_IOWR::<PidfdInfo>(0xFF, 11);
    // SAFETY: the request carries the size of the structure that the kernel fills.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), request, &raw mut info) };
    match result {
        0 if info.mask & PIDFD_INFO_EXIT != 0 => Ok(Some(info.exit_code)),
        0 => Ok(None),
        _ => match io::Error::last_os_error() {
            // Not reaped yet.
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            error => Err(error),
        },
    }
}

/// Sets after how many seconds a watchdog starts the machine again (`WDIOC_SETTIMEOUT`); yields what it took.
///
/// # Errors
/// It cannot be set, or is no watchdog.
pub(crate) fn set_watchdog(watchdog: BorrowedFd<'_>, seconds: u32) -> io::Result<u32> {
    let mut time = c_int::try_from(seconds).unwrap_or(c_int::MAX);
    let request = libc::_IOWR::<c_int>(u32::from(b'W'), 6);
    // SAFETY: the request reads and writes one int.
    if unsafe { libc::ioctl(watchdog.as_raw_fd(), request, &raw mut time) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(time).unwrap_or(seconds))
}

/// Completes when a descriptor has something urgent (`POLLPRI`).
pub(crate) async fn urgent(fd: Arc<OwnedFd>) -> io::Result<()> {
    // SAFETY: as in [`watch`].
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::PRIORITY) }?;
    watched.ready(Interest::PRIORITY).await.map(drop)
}

/// Lets tokio watch a descriptor for being readable.
pub(crate) fn watch(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the `Arc` inside keeps the descriptor open, and its number the same, as long as the
    // `AsyncFd` lives.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}

/// Brings a network interface up.
pub(crate) fn interface_up(name: &str) -> io::Result<()> {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: ifreq is plain data for which zero is valid; the name is shorter than its array; both
    // calls read and write `request` only.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request
            .ifr_name
            .iter_mut()
            .zip(name.bytes().take(libc::IFNAMSIZ - 1))
        {
            *to = from.cast_signed();
        }
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) < 0 {
            return Err(io::Error::last_os_error());
        }
        let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        request.ifr_ifru.ifru_flags |= up;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether this process sees all processes of the machine, so that process 1 is the kernel's. The
/// number of the first pid namespace is part of the kernel's interface.
pub(crate) fn is_machine() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name.as_os_str() == "pid:[4026531836]")
}
