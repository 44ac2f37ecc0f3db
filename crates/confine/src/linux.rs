//! The real system calls, raw, so that they are safe between fork and exec.

#![expect(
    unsafe_code,
    reason = "raw system calls without allocation, each block explained"
)]

use crate::plan::Resource;
use crate::sys::{Attribute, Errno, Sys, SysResult};
use nix::libc;
use seccompiler::sock_filter;
use std::ffi::{CStr, c_int, c_long, c_ulong};

/// The kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linux;

const OPEN_TREE_CLONE: c_ulong = 1;
const OPEN_TREE_CLOEXEC: c_ulong = libc::O_CLOEXEC as c_ulong;
const AT_RECURSIVE: c_ulong = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: c_ulong = 0x4;
const MOUNT_ATTR_RDONLY: u64 = 1;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The error number of the call that just failed.
pub(crate) fn errno() -> Errno {
    // SAFETY: errno is a thread-local integer; its address is always valid.
    Errno(unsafe { *libc::__errno_location() })
}

fn check(result: c_int) -> SysResult<()> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn check_long(result: c_long) -> SysResult<c_long> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn prctl(option: c_int, a: c_ulong, b: c_ulong) -> SysResult<()> {
    let none: c_ulong = 0;
    // SAFETY: only options with integer arguments are passed here; unused arguments are zero.
    check(unsafe { libc::prctl(option, a, b, none, none) })
}

/// Opens, does one thing, closes.
fn with_file<T>(path: &CStr, flags: c_int, act: impl FnOnce(c_int) -> SysResult<T>) -> SysResult<T> {
    // SAFETY: `path` is NUL-terminated and outlives the call; the mode is only read with O_CREAT.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) };
    check(fd)?;
    let result = act(fd);
    // SAFETY: `fd` was opened above and is owned here.
    unsafe { libc::close(fd) };
    result
}

fn mount(kind: Option<&CStr>, target: &CStr, flags: c_ulong, data: Option<&CStr>) -> SysResult<()> {
    let name = kind.map_or(c"none".as_ptr(), CStr::as_ptr);
    let kind = kind.map_or(std::ptr::null(), CStr::as_ptr);
    let data = data.map_or(std::ptr::null(), |d| d.as_ptr().cast());
    // SAFETY: all pointers are NUL-terminated strings that outlive the call, or null where allowed.
    check(unsafe { libc::mount(name, target.as_ptr(), kind, flags, data) })
}

impl Sys for Linux {
    fn new_session(&self) -> SysResult<()> {
        // SAFETY: takes no argument.
        check(unsafe { libc::setsid() })
    }

    fn attribute(&self, attribute: Attribute) -> SysResult<()> {
        match attribute {
            Attribute::ParentDeathSignal(signal) => {
                prctl(libc::PR_SET_PDEATHSIG, c_ulong::try_from(signal).unwrap_or(0), 0)
            }
            Attribute::KeepCaps(on) => prctl(libc::PR_SET_KEEPCAPS, c_ulong::from(on), 0),
            Attribute::NoNewPrivs => prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0),
            Attribute::DropBounding(cap) => prctl(libc::PR_CAPBSET_DROP, cap.into(), 0),
            Attribute::ClearAmbient => {
                prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong, 0)
            }
            Attribute::RaiseAmbient(cap) => prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE as c_ulong,
                cap.into(),
            ),
        }
    }

    fn write_file(&self, path: &CStr, data: &[u8]) -> SysResult<()> {
        with_file(path, libc::O_WRONLY, |fd| {
            // SAFETY: `data` is valid for its length.
            let done = unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) };
            match usize::try_from(done) {
                Ok(count) if count == data.len() => Ok(()),
                Ok(_) => Err(Errno(libc::EIO)),
                Err(_) => Err(errno()),
            }
        })
    }

    fn file_begins_with(&self, path: &CStr, data: &[u8]) -> SysResult<bool> {
        with_file(path, libc::O_RDONLY, |fd| {
            let mut buffer = [0_u8; 256];
            // SAFETY: `buffer` is writable for its length.
            let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
            let count = usize::try_from(count).map_err(|_| errno())?;
            Ok(buffer.get(..count).is_some_and(|text| text.starts_with(data)))
        })
    }

    fn limit(&self, resource: Resource, soft: u64, hard: u64) -> SysResult<()> {
        let which = match resource {
            Resource::Nofile => libc::RLIMIT_NOFILE,
            Resource::Nproc => libc::RLIMIT_NPROC,
            Resource::Core => libc::RLIMIT_CORE,
            Resource::Fsize => libc::RLIMIT_FSIZE,
            Resource::As => libc::RLIMIT_AS,
            Resource::Memlock => libc::RLIMIT_MEMLOCK,
        };
        let value = libc::rlimit {
            rlim_cur: soft,
            rlim_max: hard,
        };
        // SAFETY: `value` is a valid rlimit for the duration of the call.
        check(unsafe { libc::setrlimit(which, &value) })
    }

    fn umask(&self, mask: u32) {
        // SAFETY: takes an integer and cannot fail.
        unsafe { libc::umask(mask) };
    }

    fn private_mounts(&self) -> SysResult<()> {
        // SAFETY: takes flags only.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        mount(None, c"/", libc::MS_REC | libc::MS_SLAVE, None)
    }

    fn open_tree(&self, path: &CStr) -> SysResult<i32> {
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
        // SAFETY: `path` is NUL-terminated; the other arguments are integers.
        let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
        check_long(fd).and_then(|fd| i32::try_from(fd).map_err(|_| Errno(libc::EMFILE)))
    }

    fn seal_tree(&self, tree: i32) -> SysResult<()> {
        let attr = MountAttr {
            set: MOUNT_ATTR_RDONLY,
            clear: 0,
            propagation: 0,
            userns_fd: 0,
        };
        let flags = AT_RECURSIVE | libc::AT_EMPTY_PATH as c_ulong;
        // SAFETY: the empty path is NUL-terminated, `attr` is valid for the size given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                tree,
                c"".as_ptr(),
                flags,
                &raw const attr,
                std::mem::size_of::<MountAttr>(),
            )
        };
        check_long(result).map(|_| ())
    }

    fn attach_tree(&self, tree: i32, path: &CStr) -> SysResult<()> {
        // SAFETY: both paths are NUL-terminated; `tree` is a descriptor from `open_tree`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                tree,
                c"".as_ptr(),
                libc::AT_FDCWD,
                path.as_ptr(),
                MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        let result = check_long(result).map(|_| ());
        // SAFETY: `tree` is owned by the caller, who gives it up here.
        unsafe { libc::close(tree) };
        result
    }

    fn empty_mount(&self, path: &CStr) -> SysResult<()> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        mount(
            Some(c"tmpfs"),
            path,
            flags,
            Some(c"size=64k,nr_inodes=256,mode=0755"),
        )
    }

    fn seal_mount(&self, path: &CStr) -> SysResult<()> {
        let flags = libc::MS_REMOUNT
            | libc::MS_BIND
            | libc::MS_RDONLY
            | libc::MS_NOSUID
            | libc::MS_NODEV
            | libc::MS_NOEXEC;
        mount(None, path, flags, None)
    }

    fn make_dir(&self, path: &CStr) -> SysResult<()> {
        // SAFETY: `path` is NUL-terminated.
        match check(unsafe { libc::mkdir(path.as_ptr(), 0o755) }) {
            Err(Errno(libc::EEXIST)) => Ok(()),
            other => other,
        }
    }

    fn make_file(&self, path: &CStr) -> SysResult<()> {
        with_file(path, libc::O_WRONLY | libc::O_CREAT, |_| Ok(()))
    }

    fn change_dir(&self, path: &CStr) -> SysResult<()> {
        // SAFETY: `path` is NUL-terminated.
        check(unsafe { libc::chdir(path.as_ptr()) })
    }

    fn set_groups(&self, groups: &[u32]) -> SysResult<()> {
        // The raw call: glibc's wrapper would signal other threads, which a forked child has not.
        // SAFETY: `groups` is valid for its length.
        let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
        check_long(result).map(|_| ())
    }

    fn set_gid(&self, gid: u32) -> SysResult<()> {
        // SAFETY: integers only; raw for the reason given at `set_groups`.
        check_long(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(|_| ())
    }

    fn set_uid(&self, uid: u32) -> SysResult<()> {
        // SAFETY: integers only; raw for the reason given at `set_groups`.
        check_long(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(|_| ())
    }

    fn set_caps(&self, bits: u64) -> SysResult<()> {
        let half = |shift: u32| u32::try_from((bits >> shift) & 0xffff_ffff).unwrap_or(0);
        let data = [0, 32].map(|shift| {
            let word = half(shift);
            CapData {
                effective: word,
                permitted: word,
                inheritable: word,
            }
        });
        let mut header = CapHeader {
            version: CAPABILITY_VERSION_3,
            pid: 0,
        };
        // SAFETY: version 3 reads one header and two data words, both valid here.
        check_long(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) }).map(|_| ())
    }

    fn restrict_self(&self, ruleset: i32) -> SysResult<()> {
        // SAFETY: a descriptor and flags.
        check_long(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) }).map(|_| ())
    }

    fn install_filter(&self, program: &[sock_filter]) -> SysResult<()> {
        let length = u16::try_from(program.len()).map_err(|_| Errno(libc::E2BIG))?;
        let program = libc::sock_fprog {
            len: length,
            filter: program.as_ptr().cast_mut().cast(),
        };
        let mode: c_ulong = libc::SECCOMP_SET_MODE_FILTER.into();
        let flags: c_ulong = 0;
        // SAFETY: the kernel copies the program; both sock_filter types have the kernel's layout.
        check_long(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }).map(|_| ())
    }
}
