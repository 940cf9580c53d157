//! What a box can be told to do, as types in which every value is legal.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::hardware_settings::HardwareSettings;
use super::network_input::NetworkInput;
use super::network_settings::NetworkSettings;
use super::probe_settings::ProbeSettings;
use super::srt_settings::SrtDestinationSettings;
use super::telemetry_settings::TelemetrySettings;
use crate::model::{
    Codec, DataPlan, FrameRate, InputId, InterfaceName, Name, OutputId, RenditionId, Selection, ShowEnd, TruthSettings,
};

/// Everything the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The box's name, shown on the slate, the panel and in alerts. Free text, 1–64 characters.
    pub box_name: String,
    /// Which hardware profile is in force.
    pub hardware: HardwareSettings,
    /// The programme's frame rate: the shared video grid.
    pub frame_rate: FrameRate,
    /// Sources in order of preference; at least one.
    pub inputs: Vec<InputSettings>,
    /// Which of them is on air, and when it is left.
    pub selection: Selection,
    /// The stand-in picture.
    pub slate: SlateSettings,
    /// Video encodes; at least one. Names are unique and differ from every audio rendition's.
    pub renditions: Vec<RenditionSettings>,
    /// Renditions whose bit rate may go down to so much, bit/s, where an uplink bears no more. The others' is fixed.
    pub floors: BTreeMap<RenditionId, u32>,
    /// RTMP destinations.
    pub destinations: Vec<DestinationSettings>,
    /// SRT destinations. Names are unique among all destinations and recordings.
    pub srt_destinations: Vec<SrtDestinationSettings>,
    /// Local recordings.
    pub recordings: Vec<RecordingSettings>,
    /// How it is found out whether a link carries anything.
    pub probe: ProbeSettings,
    /// What Holdfast may do to the machine's network.
    pub network: NetworkSettings,
    /// What links may carry, and what that costs; those that are not named may carry what they can.
    pub plans: BTreeMap<InterfaceName, DataPlan>,
    /// When the show ends, if that is known beforehand.
    pub show: Option<ShowEnd>,
    /// Who is told when something happens.
    pub alerts: AlertSettings,
    /// What of itself and its uplinks the box watches.
    pub telemetry: TelemetrySettings,
}

/// One source.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSettings {
    /// Its name.
    pub id: InputId,
    /// What it is.
    pub source: Source,
    /// When something is wrong with it.
    pub truth: TruthSettings,
}

/// The kinds of source.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A capture device.
    V4l2 {
        /// The device node; `/dev/v4l/by-path/…` keeps its name after a replug.
        device: PathBuf,
        /// Where its sound comes from.
        audio: AudioSource,
    },
    /// Any file GStreamer can decode, looped, in real time.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A moving test picture with a machine-readable frame number, and a tone.
    Pattern {
        /// Whether a part of it is noise, so that an encoder has to spend its whole bit rate on it.
        noise: bool,
    },
    /// A sender over a network.
    Network(NetworkInput),
}

/// Where a capture device's sound comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum AudioSource {
    /// The ALSA card on the same USB or PCI parent as the video device; silence if there is none.
    Paired,
    /// A named ALSA device, e.g. `hw:2,0`.
    Alsa(String),
    /// Silence.
    None,
}

/// The stand-in picture.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SlateSettings {
    /// A PNG or JPEG; `None` draws the default with the box's name.
    pub image: Option<PathBuf>,
}

/// One video encode with the sound that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct RenditionSettings {
    /// Its name.
    pub id: RenditionId,
    /// H.264, HEVC or AV1.
    pub codec: Codec,
    /// Pixels across; even, 128–7680.
    pub width: u32,
    /// Pixels down; even, 96–4320.
    pub height: u32,
    /// Bit/s, 50 000–100 000 000.
    pub bitrate: u32,
    /// Between keyframes, 0.5–10 s.
    pub keyframe_interval: Duration,
    /// Which encoder.
    pub encoder: EncoderChoice,
    /// The sound. Renditions with equal audio settings share one audio encode.
    pub audio: AudioSettings,
}

/// Which encoder makes a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncoderChoice {
    /// The first family whose trial encode works, hardware first.
    Auto,
    /// As [`Self::Auto`], in this order, of a hardware profile; what else encodes on the processor comes after it. Never
    /// in a file.
    Ranked(Vec<Name>),
    /// This family only (`x264`, `va`, `nvenc`, …; the encoder table's names).
    Family(Name),
}

/// One audio encode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AudioSettings {
    /// AAC or Opus.
    pub codec: Codec,
    /// Bit/s, 32 000–512 000; 0 where nobody has said it, as in a relay.
    pub bitrate: u32,
}

impl AudioSettings {
    /// The audio rendition's name: `aac-128k`; without a bit rate that is known, `aac`.
    pub fn rendition(&self) -> RenditionId {
        let codec = if self.codec == Codec::Opus { "opus" } else { "aac" };
        let name = match self.bitrate {
            0 => codec.to_owned(),
            bitrate => format!("{codec}-{}k", bitrate / 1000),
        };
        RenditionId::new(&name).expect("letters, digits and a hyphen, under 32")
    }
}

impl Settings {
    /// The distinct audio encodes, in a stable order.
    pub fn audio_renditions(&self) -> Vec<AudioSettings> {
        let mut all: Vec<_> = self.renditions.iter().map(|r| r.audio.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The rendition of that name.
    pub fn rendition(&self, id: &RenditionId) -> Option<&RenditionSettings> {
        self.renditions.iter().find(|r| &r.id == id)
    }
}

/// One RTMP, RTMPS or Enhanced RTMP destination.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationSettings {
    /// Its name.
    pub id: OutputId,
    /// Which rendition it gets.
    pub rendition: RenditionId,
    /// Where, without the key.
    pub url: RtmpUrl,
    /// The stream key.
    pub key: Secret,
    /// What to do while the far end still holds our previous session.
    pub takeover: Takeover,
    /// A PEM file with the authority that signed the server's certificate, beside the system's own.
    pub ca_file: Option<PathBuf>,
    /// Another stream key for the backup address; `None` where it is the same.
    pub backup_key: Option<Secret>,
    /// Which interfaces carry it.
    pub via: Via,
    /// Whether its rendition's bit rate goes down, for everybody who gets it, where this destination bears no more.
    pub lowers_bitrate: bool,
    /// Whether it is used. A disabled destination stays configured.
    pub enabled: bool,
}

/// Which interfaces carry a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// Whichever the routing table says.
    #[default]
    Routing,
    /// This one and no other.
    Pinned(InterfaceName),
    /// The first of these that is any good, 2 to [`Via::MOST`] of them, all different.
    Failover(Vec<InterfaceName>),
}

impl Via {
    /// Most interfaces of one destination.
    pub const MOST: usize = 8;

    /// All that are named.
    pub fn interfaces(&self) -> &[InterfaceName] {
        match self {
            Self::Routing => &[],
            Self::Pinned(interface) => std::slice::from_ref(interface),
            Self::Failover(interfaces) => interfaces,
        }
    }
}

/// `rtmp[s]://host[:port]/app`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpUrl {
    /// RTMPS.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port; 1935 or 443 when the URL names none.
    pub port: u16,
    /// Application, may contain `/` and a query, never empty.
    pub app: String,
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let bracket = self.host.contains(':');
        let (open, close) = if bracket { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}", self.host)?;
        if self.port != if self.tls { 443 } else { 1935 } {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "/{}", self.app)
    }
}

/// How a new session replaces an old one that the far end has not let go of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// A second address of the same broadcast; alternate between the two.
    BackupUrl(RtmpUrl),
    /// `priority=N` in the key's query; raise N at each attempt (Twitch).
    PriorityQuery,
    /// The server replaces the old session by itself.
    ServerOverrides,
    /// Ask again, 250 ms to 1 s apart, until the server lets go.
    RetryUntilFree,
}

/// A stream key or passphrase. Never shown, logged or serialised.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(•••)")
    }
}

/// A local recording.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingSettings {
    /// Its name; the first part of its files' names.
    pub id: OutputId,
    /// Which rendition it keeps.
    pub rendition: RenditionId,
    /// Where the files go.
    pub directory: PathBuf,
    /// A new file at the first keyframe after this long, 10 s – 24 h.
    pub rotate_after: Duration,
    /// Bytes this recording may occupy; the oldest closed file goes first.
    pub max_bytes: Option<u64>,
    /// Bytes that must stay free on the disk; the oldest closed file goes first.
    pub min_free_bytes: u64,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AlertSettings {
    /// An `http(s)://` address that gets each alert as a JSON POST. Secret, since such addresses carry tokens.
    pub webhook: Option<Secret>,
}
