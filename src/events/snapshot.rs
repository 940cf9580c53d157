//! The state of the box at one moment, as people look at it. Readers only ever see whole snapshots.

use serde::{Deserialize, Serialize};

use super::{LinkSnapshot, Role, SrtSnapshot, TelemetrySnapshot};
use crate::model::{Codec, Condition, InputId, Manual, Media, OutputId, RenditionId, Wall};

/// The whole box; built by holdfastd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxSnapshot {
    /// [`super::CONTROL_PROTOCOL`].
    pub protocol: u32,
    /// When it was taken.
    pub at: Wall,
    /// The box's name.
    pub box_name: String,
    /// Holdfast's version.
    pub version: String,
    /// The operator's wish.
    pub on_air: bool,
    /// Since when the wish holds.
    pub on_air_since: Option<Wall>,
    /// The supervised processes.
    pub children: Vec<ChildSnapshot>,
    /// The latest from the data plane; `None` while there is none.
    pub plane: Option<PlaneSnapshot>,
    /// The latest from each worker.
    pub workers: Vec<WorkerReport>,
    /// Why the configuration on disk is not the one in force, if so.
    pub config_refused: Option<String>,
    /// Modems, dishes and the machine.
    #[serde(default)]
    pub telemetry: TelemetrySnapshot,
}

/// One supervised process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildSnapshot {
    /// Who.
    pub role: Role,
    /// How it is.
    pub state: ChildState,
    /// Process id while there is one.
    pub pid: Option<i32>,
    /// Starts since holdfastd began, the first included.
    pub starts: u32,
    /// Why it last ended.
    pub last_end: Option<String>,
}

/// How a supervised process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildState {
    /// Not wanted, or not started yet.
    Stopped,
    /// Started, not heard from.
    Starting,
    /// Heard from.
    Running,
    /// Not heard from for too long; being killed.
    Hung,
    /// Waiting before the next start.
    BackingOff,
    /// Cannot be killed (D state); left alone.
    Abandoned,
}

/// The data plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneSnapshot {
    /// Whether outputs are wanted.
    pub on_air: bool,
    /// Programme time of the newest video frame.
    pub programme_time: Media,
    /// What is being sent.
    pub source: SourceOnAir,
    /// Why that source.
    pub source_reason: String,
    /// What an operator wants to see.
    #[serde(default)]
    pub choice: Manual,
    /// Inputs as the data plane sees them.
    pub inputs: Vec<InputSnapshot>,
    /// What leaves the switch.
    pub renditions: Vec<RenditionSnapshot>,
    /// Destinations.
    pub outputs: Vec<OutputSnapshot>,
    /// Recordings.
    pub recordings: Vec<RecordingSnapshot>,
    /// Network interfaces; `None` while nothing is known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<LinkSnapshot>>,
}

impl PlaneSnapshot {
    /// Whether no live picture is sent, and what stands in is the last one.
    pub fn holds_picture(&self) -> bool {
        self.source == SourceOnAir::Slate && self.renditions.iter().any(|rendition| rendition.holds)
    }
}

/// What is being sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceOnAir {
    /// Nothing can be sent: no live picture and no slate yet.
    Nothing,
    /// What stands in: the last picture, where [`RenditionSnapshot::holds`] says so, else the slate.
    Slate,
    /// A live input.
    Input(InputId),
}

/// An input as the data plane sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputSnapshot {
    /// Which.
    pub id: InputId,
    /// A worker is connected.
    pub connected: bool,
    /// Milliseconds since its last video unit; `None` if there never was one.
    pub last_unit_ms: Option<u64>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Condition::is_good")]
    pub condition: Condition,
    /// What follows from that for the choice.
    #[serde(default)]
    pub standing: InputStanding,
    /// Points of 100; only where inputs are chosen by points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u8>,
    /// Who sends it, where it comes over a network; `None` while nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<InputSender>,
}

/// Who sends an input over a network, and how that network does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSender {
    /// Who, for people.
    pub from: String,
    /// For how long, s.
    pub for_s: u64,
    /// Bit/s of media in the last report.
    pub bitrate: u64,
    /// Round trip, ms, where one is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<u64>,
    /// Packets in the last reports, and those of them that did not come in time.
    pub packets: u64,
    /// See `packets`.
    pub lost: u64,
}

/// What an input is good for at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum InputStanding {
    /// Whoever took the snapshot does not tell.
    #[default]
    Untold,
    /// No worker of it was ever there.
    Absent,
    /// Nothing is wrong with it, and nothing was for long enough.
    Ready,
    /// Nothing is wrong with it; it has to stay like that to be trusted.
    Probation {
        /// Milliseconds.
        more_ms: u64,
    },
    /// There is something to show, and something is wrong with it.
    Impaired,
    /// There is nothing to show.
    Unusable,
}

impl std::fmt::Display for InputStanding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Untold => f.write_str("unknown"),
            Self::Absent => f.write_str("absent"),
            Self::Ready => f.write_str("ready"),
            Self::Probation { more_ms } => write!(f, "on probation, {} s more", more_ms.div_ceil(1000)),
            Self::Impaired => f.write_str("impaired"),
            Self::Unusable => f.write_str("unusable"),
        }
    }
}

/// One encode as it leaves the switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenditionSnapshot {
    /// Which.
    pub id: RenditionId,
    /// Its codec.
    pub codec: Codec,
    /// Units from live inputs.
    pub live: u64,
    /// Units that stood in for live ones: held pictures, the slate, silence.
    pub slate: u64,
    /// Of those, pictures that were held: the last live one, repeated.
    #[serde(default)]
    pub held: u64,
    /// What stands in for it now is its last live picture, and not the slate.
    #[serde(default)]
    pub holds: bool,
    /// Grid places for which nothing could be sent.
    pub missing: u64,
    /// Live units that came too late or off their turn and were dropped.
    pub late: u64,
    /// Bit/s over the last second.
    pub bitrate: u32,
    /// Bit/s of the picture that its encoder is asked for, where that is less than was configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered: Option<u32>,
    /// What keeps it from more, in words; only with `lowered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered_because: Option<String>,
    /// What the machine's heat leaves of what was configured, while it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heat: Option<HeatCeiling>,
}

/// What the machine's heat leaves of a bit rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeatCeiling {
    /// Bit/s.
    pub bitrate: u32,
    /// Why, in words.
    pub because: String,
}

/// How a destination is. Three words, never mixed: *connected* is a session, *acknowledged* is bytes the far end
/// confirmed, *verified* is a far end that says it has moving pictures ([`super::FarEndSnapshot`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum OutputState {
    /// Not wanted: off air or disabled.
    Off,
    /// Looking up, connecting or negotiating.
    Connecting,
    /// Publishing was accepted and media flows.
    Publishing,
    /// Waiting before the next attempt.
    Waiting {
        /// Milliseconds until then.
        retry_in_ms: u64,
        /// Why the last attempt ended, in words an operator can act on.
        because: String,
    },
    /// Ending cleanly.
    Stopping,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSnapshot {
    /// Which.
    pub id: OutputId,
    /// Which rendition it gets.
    pub rendition: RenditionId,
    /// Where, without the key.
    pub url: String,
    /// How it is.
    pub state: OutputState,
    /// Sessions begun since the data plane started.
    pub sessions: u32,
    /// Units handed to the socket; for SRT packets.
    pub sent: u64,
    /// Units skipped because this destination could not keep up.
    pub lost: u64,
    /// Bytes written to the socket.
    pub bytes: u64,
    /// Bytes the far end confirmed: its TCP, or its SRT of those it was given.
    pub acknowledged: u64,
    /// Milliseconds of programme that its far end has not confirmed.
    pub behind_ms: u64,
    /// The interface that carries it, where the box chooses one; `None` if the routing table does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The interface over which a session stands by that could take over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
    /// What only SRT has; `None` for RTMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srt: Option<SrtSnapshot>,
}

/// How a recording is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum RecordingState {
    /// Not wanted.
    Off,
    /// Writing.
    Recording,
    /// Not writing; tries again by itself.
    Trouble {
        /// Why, and what to do.
        because: String,
    },
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordingSnapshot {
    /// Which.
    pub id: OutputId,
    /// Which rendition it keeps.
    pub rendition: RenditionId,
    /// How it is.
    pub state: RecordingState,
    /// The file being written.
    pub file: Option<String>,
    /// Bytes written since the data plane started.
    pub bytes: u64,
    /// Units lost to a slow or full disk.
    pub lost: u64,
    /// Bytes free on its disk.
    pub free_bytes: Option<u64>,
}

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its input.
    pub input: InputId,
    /// In words: `1280x720 30 fps, file demo.mp4`, or what is wrong.
    pub signal: String,
    /// Whether picture arrives from the source.
    pub has_picture: bool,
    /// Grid places filled by repeating the previous picture.
    pub repeated: u64,
    /// Source pictures dropped because two fell on one grid place.
    pub dropped: u64,
    /// Drift correction in force between the source's audio clock and ours, parts per million.
    pub drift_ppm: i32,
    /// Its encodes.
    pub streams: Vec<WorkerStream>,
    /// What it shows, as a small picture; `None` while there is nothing to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<ThumbnailSnapshot>,
}

/// The newest thumbnail of an input, renewed each second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThumbnailSnapshot {
    /// A JPEG on this machine, replaced in one step.
    pub path: String,
    /// Of when the picture in it is.
    pub taken: Wall,
}

impl ThumbnailSnapshot {
    /// How old the picture is at `now`, milliseconds.
    pub fn age_ms(&self, now: Wall) -> u64 {
        u64::try_from(now.0.saturating_sub(self.taken.0) / 1000).unwrap_or(0)
    }
}

/// One encode in a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStream {
    /// Which.
    pub rendition: RenditionId,
    /// The element, e.g. `x264enc`.
    pub encoder: String,
    /// Pictures or packets encoded. Exactly one per grid place, however many outputs there are.
    pub encoded: u64,
    /// Pictures encoded and thrown away while the input stood by: one a second.
    #[serde(default)]
    pub stood_by: u64,
    /// Units dropped because the data plane did not take them.
    pub overflowed: u64,
    /// Milliseconds from grid time to encoded unit, latest.
    pub latency_ms: u32,
    /// Milliseconds of pictures that wait for the encoder; one that keeps up has none or one waiting.
    #[serde(default)]
    pub waiting_ms: u32,
    /// Pictures left out because it could not keep up.
    #[serde(default)]
    pub left_out: u64,
    /// Changes of bit rate that it has taken while it ran.
    #[serde(default)]
    pub bitrate_changes: u64,
    /// Keyframes that came of them: off the cadence, asked for by nobody.
    #[serde(default)]
    pub keyframes_by_bitrate: u64,
}
