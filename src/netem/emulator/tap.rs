//! A cable for Ethernet frames between two TAP devices, each in a network namespace of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Instant;

use super::udp::LARGEST;
use super::work::Carrier;
use crate::netem::{End, Namespace};

/// Frames taken from one device before the other has its turn.
const BATCH: usize = 256;

mod ioctl {
    // linux/if_tun.h: TUNSETIFF and TUNSETCARRIER are _IOW('T', 202, int) and _IOW('T', 226, int).
    nix::ioctl_write_ptr_bad!(set_interface, nix::request_code_write!(b'T', 202, 4), libc::ifreq);
    nix::ioctl_write_ptr!(set_carrier, b'T', 226, libc::c_int);
}

/// A TAP device: what the kernel sends over the network device comes out of the file, and the other way round.
#[derive(Debug)]
pub struct Tap {
    file: File,
}

impl Tap {
    /// Makes the device `name` in `namespace`, gives it an address with its prefix length (`10.0.0.1/24`), and puts it up.
    /// It goes when the `Tap` does.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN` over the namespace, without access to `/dev/net/tun`, or if the `ip` tool is missing.
    pub fn new(namespace: &Namespace, name: &str, address: &str) -> io::Result<Self> {
        namespace.enter(|| {
            let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
            // SAFETY: all zeros is a valid ifreq.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            let last = request.ifr_name.len() - 1;
            for (to, from) in request.ifr_name[..last].iter_mut().zip(name.bytes()) {
                *to = from as libc::c_char;
            }
            request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
            // SAFETY: the request is an initialised ifreq that outlives the call.
            unsafe { ioctl::set_interface(file.as_raw_fd(), &raw const request) }?;
            ip(&["address", "add", address, "dev", name])?;
            ip(&["link", "set", name, "up"])?;
            Ok(Self { file })
        })
    }

    fn set_carrier(&self, there: bool) -> io::Result<()> {
        let there = libc::c_int::from(there);
        // SAFETY: the argument is an int that outlives the call.
        unsafe { ioctl::set_carrier(self.file.as_raw_fd(), &raw const there) }?;
        Ok(())
    }
}

/// Runs `ip`.
pub(in crate::netem) fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), said.trim())))
}

#[derive(Debug)]
pub(super) struct Taps {
    a: Tap,
    b: Tap,
    buffer: Box<[u8]>,
}

impl Taps {
    pub(super) fn new(a: Tap, b: Tap) -> Self {
        Self { a, b, buffer: vec![0; LARGEST].into() }
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.a.file.as_fd(), self.b.file.as_fd()].into_iter()
    }

    /// Both devices lose their carrier, or have it again.
    pub(super) fn set_carrier(&self, there: bool) -> io::Result<()> {
        self.a.set_carrier(there)?;
        self.b.set_carrier(there)
    }

    pub(super) fn carry(&mut self, carrier: &mut Carrier, now: Instant) {
        for (tap, end) in [(&self.a, End::A), (&self.b, End::B)] {
            let mut file = &tap.file;
            for _ in 0..BATCH {
                let Ok(length) = file.read(&mut self.buffer) else { break };
                carrier.enter(end, 0, &self.buffer[..length], now);
            }
        }
        for (tap, end) in [(&self.a, End::A), (&self.b, End::B)] {
            let mut file = &tap.file;
            while let Some(frame) = carrier.duplex.poll(end, now) {
                // A device that is down takes nothing, as a cable's end that is unplugged.
                let _ = file.write(&frame.bytes);
            }
        }
    }
}
