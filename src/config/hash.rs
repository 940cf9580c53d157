//! Which part of the settings each process runs with, as a short hash.

use std::fmt::Write;

use ring::digest::{Context, SHA256};

use super::network_input::Sender;
use super::settings::{Settings, Source};
use crate::events::Role;

impl Settings {
    /// 16 hexadecimal digits that change exactly when something changes that `role` depends on:
    ///
    /// - a worker on its own input, the frame rate, the renditions and the hardware profile; of an input over a network not
    ///   on its sender, since the session with it is the data plane's;
    /// - the data plane on the box's name, the inputs' names, order and rules, their senders with their secrets, the frame
    ///   rate, the slate, the renditions, the destinations with their keys, the recordings, what links are asked and may
    ///   carry, and when the show ends;
    /// - holdfastd on everything.
    ///
    /// A worker whose input is gone gets a hash that no running worker has. Secrets go in through SHA-256, cut to 64
    /// bits, so that a hash on a socket or in a log tells that a key changed but not what it is. Equal only between
    /// processes of the same version, since it covers the types' `Debug` form.
    pub fn hash_for(&self, role: &Role) -> String {
        let mut hash = Hash(Context::new(&SHA256));
        hash.part("role", role);
        hash.part("frame rate", &self.frame_rate);
        hash.part("renditions", &self.renditions);
        match role {
            Role::Encode(id) => {
                let input = self.inputs.iter().find(|input| &input.id == id);
                hash.part("input", &input.map(|input| (&input.id, opened_by_worker(&input.source), &input.truth)));
                hash.part("hardware", &self.hardware);
            }
            Role::Transmit => {
                hash.part("inputs", &self.inputs.iter().map(|i| &i.id).collect::<Vec<_>>());
                hash.part("selection", &self.selection);
                self.hash_senders(&mut hash);
                self.hash_outputs(&mut hash);
            }
            Role::Supervisor => {
                hash.part("inputs", &self.inputs);
                hash.part("selection", &self.selection);
                self.hash_senders(&mut hash);
                hash.part("hardware", &self.hardware);
                self.hash_outputs(&mut hash);
                hash.part("telemetry", &self.telemetry);
                hash.part("network", &self.network);
                hash.secret(self.alerts.webhook.as_ref().map_or("", |webhook| webhook.reveal()));
            }
            // It has a configuration of its own.
            Role::Relay => {}
        }
        hash.finish()
    }

    /// Who sends over a network, and their secrets, as many to each as its kind has.
    fn hash_senders(&self, hash: &mut Hash) {
        for input in &self.inputs {
            let Source::Network(network) = &input.source else { continue };
            hash.part("sender", &(&input.id, network));
            match &network.sender {
                Sender::Srt(srt) => {
                    hash.secret(srt.stream_id.as_ref().map_or("", |id| id.reveal()));
                    hash.secret(srt.encryption.as_ref().map_or("", |e| e.passphrase.reveal()));
                }
                Sender::Rtmp(rtmp) => hash.secret(rtmp.key.as_ref().map_or("", |key| key.reveal())),
                Sender::Rtsp(rtsp) => hash.secret(rtsp.login.as_ref().map_or("", |login| login.password.reveal())),
            }
        }
    }

    fn hash_outputs(&self, hash: &mut Hash) {
        hash.part("box", &self.box_name);
        hash.part("slate", &self.slate);
        hash.part("floors", &self.floors);
        hash.part("destinations", &self.destinations);
        for destination in &self.destinations {
            hash.secret(destination.key.reveal());
            hash.secret(destination.backup_key.as_ref().map_or("", |key| key.reveal()));
        }
        hash.part("srt destinations", &self.srt_destinations);
        for destination in &self.srt_destinations {
            hash.secret(destination.stream_id.as_ref().map_or("", |id| id.reveal()));
            hash.secret(destination.encryption.as_ref().map_or("", |e| e.passphrase.reveal()));
        }
        hash.part("recordings", &self.recordings);
        hash.part("probe", &self.probe);
        hash.part("plans", &self.plans);
        hash.part("show", &self.show);
    }
}

/// What a worker opens; nothing where it decodes what the data plane hands it.
fn opened_by_worker(source: &Source) -> Option<&Source> {
    match source {
        Source::V4l2 { .. } | Source::File { .. } | Source::Pattern { .. } => Some(source),
        Source::Network(_) => None,
    }
}

/// A SHA-256 in progress. Each part goes in with its length, so that no two sequences of parts look alike.
struct Hash(Context);

impl Hash {
    /// What `Debug` shows, which for a secret is nothing.
    fn part(&mut self, label: &str, value: &impl std::fmt::Debug) {
        self.bytes(label.as_bytes());
        self.bytes(format!("{value:?}").as_bytes());
    }

    fn secret(&mut self, secret: &str) {
        self.bytes(secret.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> String {
        let mut text = String::with_capacity(16);
        for byte in self.0.finish().as_ref().iter().take(8) {
            let _infallible = write!(text, "{byte:02x}");
        }
        text
    }
}
