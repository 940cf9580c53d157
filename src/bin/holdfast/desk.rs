//! The conversation with holdfastd over its control socket: one JSON object a line, each way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use holdfast::config::Paths;
use holdfast::events::{BoxSnapshot, Command, ControlReply, ControlRequest, Role};
use holdfast::supervisor::lock;

use crate::terminal::{complain, say};
use crate::{DONE, NOT_RUNNING, REFUSED};

/// Longest answer, bytes. A snapshot with 64 destinations is some 30 kB.
const LONGEST: u64 = 4 << 20;
/// An order is answered within this time, or holdfastd is in trouble.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// Nobody listens.
    #[error(
        "holdfastd does not run here (nobody answers at {socket}).\n{}\
         Start it:             systemctl start holdfastd   or   holdfastd --config FILE\n\
         It runs elsewhere?    holdfast --runtime DIR ...  or   HOLDFAST_RUNTIME=DIR",
        goes_on(*.data_plane)
    )]
    NotRunning {
        socket: String,
        /// The process that goes on sending without it.
        data_plane: Option<i32>,
    },
    /// The socket is not ours to open.
    #[error("{socket} may not be opened by this user; try again with sudo")]
    NotAllowed { socket: String },
    /// It went away, or does not answer.
    #[error("holdfastd went away or does not answer ({0}); see: holdfast status, and holdfastd's own log")]
    Lost(io::Error),
    /// Not JSON of this version.
    #[error("holdfastd's answer was not understood ({0}); are holdfast and holdfastd of the same version?")]
    Foreign(serde_json::Error),
}

impl DeskError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NotRunning { .. } => NOT_RUNNING,
            Self::NotAllowed { .. } | Self::Lost(_) | Self::Foreign(_) => REFUSED,
        })
    }
}

/// What whoever wants to end the show must know.
fn goes_on(data_plane: Option<i32>) -> String {
    data_plane.map_or_else(String::new, |pid| {
        format!(
            "The data plane (process {pid}) runs all the same: what is on air stays on air. holdfastd takes it over when it is \
             started again, and obeys then.\n"
        )
    })
}

/// A connection to holdfastd.
#[derive(Debug)]
pub(crate) struct Desk {
    stream: BufReader<UnixStream>,
}

impl Desk {
    pub(crate) fn open(paths: &Paths) -> Result<Self, DeskError> {
        let socket = paths.control_socket();
        let stream = UnixStream::connect(&socket).map_err(|e| {
            let socket = socket.display().to_string();
            if e.kind() == io::ErrorKind::PermissionDenied {
                DeskError::NotAllowed { socket }
            } else {
                let data_plane = lock::holder(&paths.lock(&Role::Transmit)).map(nix::unistd::Pid::as_raw);
                DeskError::NotRunning { socket, data_plane }
            }
        })?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(DeskError::Lost)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks; the answers follow by [`Self::next`].
    pub(crate) fn ask(&mut self, request: &ControlRequest) -> Result<(), DeskError> {
        let mut line = serde_json::to_vec(request).map_err(DeskError::Foreign)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(DeskError::Lost)
    }

    /// Waits for ever: for answers that come when something happens.
    pub(crate) fn wait_for_ever(&mut self) -> Result<(), DeskError> {
        self.stream.get_mut().set_read_timeout(None).map_err(DeskError::Lost)
    }

    pub(crate) fn next(&mut self) -> Result<ControlReply, DeskError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LONGEST).read_until(b'\n', &mut line).map_err(DeskError::Lost)?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Err(DeskError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&line).map_err(DeskError::Foreign)
    }
}

/// Shows the box's state once; with `watch` again at each change, until `show` breaks off.
pub(crate) fn each_snapshot(
    paths: &Paths,
    watch: bool,
    mut show: impl FnMut(BoxSnapshot) -> ControlFlow<ExitCode>,
) -> Result<ExitCode, DeskError> {
    let mut desk = Desk::open(paths)?;
    desk.ask(&ControlRequest::Status { watch })?;
    if watch {
        desk.wait_for_ever()?;
    }
    loop {
        match desk.next()? {
            ControlReply::Status(snapshot) => match show(*snapshot) {
                ControlFlow::Break(code) => return Ok(code),
                ControlFlow::Continue(()) if !watch => return Ok(DONE),
                ControlFlow::Continue(()) => {}
            },
            ControlReply::Refused { text } | ControlReply::Done { text } => {
                complain(&text);
                return Ok(ExitCode::from(REFUSED));
            }
            ControlReply::Event(_) => {}
        }
    }
}

/// Gives one order and says what came of it.
pub(crate) fn order(paths: &Paths, command: Command) -> ExitCode {
    let answer = Desk::open(paths).and_then(|mut desk| {
        desk.ask(&ControlRequest::Do(command))?;
        desk.next()
    });
    match answer {
        Ok(ControlReply::Done { text }) => {
            say(&text);
            DONE
        }
        Ok(ControlReply::Refused { text }) => {
            complain(&text);
            ExitCode::from(REFUSED)
        }
        Ok(ControlReply::Status(_) | ControlReply::Event(_)) => {
            complain("holdfastd answered something else; are holdfast and holdfastd of the same version?");
            ExitCode::from(REFUSED)
        }
        Err(e) => {
            complain(&e.to_string());
            e.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_a_holdfastd_that_has_ended_hears_that_the_show_goes_on() {
        let text = |data_plane| DeskError::NotRunning { socket: "control.sock".to_owned(), data_plane }.to_string();
        assert!(text(Some(17)).contains("\nThe data plane (process 17) runs all the same"), "{}", text(Some(17)));
        assert!(!text(None).contains("data plane"), "{}", text(None));
        assert!(text(Some(17)).contains("\nStart it:   ") && text(None).contains("\nStart it:   "));
    }
}
