//! A thread with the rights of a service, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// nobody.
const USER: libc::c_long = 65_534;
/// From linux/capability.h, those that a unit of ours may name.
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_BIND_SERVICE", 10), ("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13)];
/// _LINUX_CAPABILITY_VERSION_3.
const VERSION: u32 = 0x2008_0522;
const LAST: u32 = 63;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Set {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// What `AmbientCapabilities=` of a unit grants to a service that is not root's.
pub fn granted(unit: &str) -> BTreeSet<u32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(unit);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("AmbientCapabilities="));
    lines
        .flat_map(str::split_whitespace)
        .map(|name| {
            let known = CAPABILITIES.iter().find(|(known, _)| *known == name);
            known.unwrap_or_else(|| panic!("{unit} grants {name}, which this test does not know")).1
        })
        .collect()
}

/// Gives up all rights of the calling thread but these, for good: another user, no other capability, none to be gained.
/// Other threads keep theirs.
pub fn keep_only(capabilities: &BTreeSet<u32>) -> io::Result<()> {
    for capability in (0..=LAST).filter(|capability| !capabilities.contains(capability)) {
        // Those that the kernel does not know (EINVAL) need not be given up.
        // SAFETY: takes numbers alone.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: takes numbers alone. Without it the kernel takes all capabilities away with the user.
    unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
    // The library's functions would change all threads of the process.
    // SAFETY: no group is given, so none is read.
    unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) };
    // In a user namespace there may be no other user: then it is a root without any capability.
    // SAFETY: takes numbers alone.
    unsafe { libc::syscall(libc::SYS_setresgid, USER, USER, USER) };
    // SAFETY: takes numbers alone.
    unsafe { libc::syscall(libc::SYS_setresuid, USER, USER, USER) };
    let bits =
        |from: u32| (from..from + 32).filter(|c| capabilities.contains(c)).fold(0, |set, c| set | 1 << (c - from));
    let sets = [0, 32].map(|from| Set { effective: bits(from), permitted: bits(from), inheritable: 0 });
    let header = Header { version: VERSION, pid: 0 };
    // SAFETY: version 3 reads one header and two sets, which is what is given.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes numbers alone.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The capabilities that the calling thread has, as the kernel says.
pub fn held() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}
