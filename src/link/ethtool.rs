//! What a driver says when it is asked (ioctl SIOCETHTOOL, `linux/ethtool.h`). Unlike sysfs it answers for the network
//! namespace of the socket. A driver may take milliseconds to ask its hardware.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use super::fact::{Carrier, Mac};

mod ioctl {
    // linux/sockios.h.
    nix::ioctl_readwrite_bad!(ethtool, 0x8946, libc::ifreq);
}

const GSET: u32 = 0x1;
const GDRVINFO: u32 = 0x3;
const GLINK: u32 = 0xa;
const GPERMADDR: u32 = 0x20;
/// SPEED_UNKNOWN is -1; wireless drivers also say 0.
const MOST_MBIT: u32 = 1_000_000;

/// A socket to ask over.
#[derive(Debug)]
pub(super) struct Ethtool {
    socket: Socket,
}

impl Ethtool {
    /// In the network namespace of this thread.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::new(Domain::IPV4, Type::DGRAM, None)? })
    }

    /// Whether there is a carrier. Asking also makes the kernel tell at once what it had put off telling.
    pub(super) fn carrier(&self, name: &str) -> io::Result<Carrier> {
        let mut answer = [GLINK, 0];
        self.ask(name, &mut answer)?;
        Ok(if answer[1] == 0 { Carrier::Lost } else { Carrier::There })
    }

    /// Mbit/s. `struct ethtool_cmd`: 16 bits at byte 12, 16 more at byte 28.
    pub(super) fn speed(&self, name: &str) -> Option<u32> {
        let mut answer = [0u32; 11];
        answer[0] = GSET;
        self.ask(name, &mut answer).ok()?;
        let first_half = |word: u32| u32::from(u16::from_ne_bytes([word.to_ne_bytes()[0], word.to_ne_bytes()[1]]));
        let mbit = first_half(answer[3]) | (first_half(answer[7]) << 16);
        (1..=MOST_MBIT).contains(&mbit).then_some(mbit)
    }

    /// The kernel module. `struct ethtool_drvinfo`: 32 characters after the command.
    pub(super) fn driver(&self, name: &str) -> Option<String> {
        let mut answer = [0u32; 49];
        answer[0] = GDRVINFO;
        self.ask(name, &mut answer).ok()?;
        let text: Vec<u8> = answer[1..9].iter().flat_map(|word| word.to_ne_bytes()).take_while(|b| *b != 0).collect();
        let text = String::from_utf8(text).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The address the hardware was made with. `struct ethtool_perm_addr`: command, length, bytes.
    pub(super) fn permanent(&self, name: &str) -> Option<Mac> {
        let mut answer = [GPERMADDR, 6, 0, 0];
        self.ask(name, &mut answer).ok()?;
        let bytes: Vec<u8> = answer[2..].iter().flat_map(|word| word.to_ne_bytes()).take(6).collect();
        Mac::new(&bytes).filter(|_| answer[1] == 6)
    }

    fn ask(&self, name: &str, data: &mut [u32]) -> io::Result<()> {
        // SAFETY: all zeros is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let last = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name[..last].iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
        // SAFETY: `data` has the size of the structure that its command names, and outlives the call.
        unsafe { ioctl::ethtool(self.socket.as_raw_fd(), &raw mut request) }?;
        Ok(())
    }
}
