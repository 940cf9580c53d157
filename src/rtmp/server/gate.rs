//! Who may publish: the application and the stream key that an input is set to.

use std::fmt;
use std::time::Duration;

use ring::hmac;

use crate::config::RtmpInput;

/// What a publisher has to know.
#[derive(Clone)]
pub struct Gate {
    app: String,
    key: Option<Proof>,
    shut: Option<Duration>,
}

/// A stream key under a key of our own. What is given is put under the same and compared in constant time, so that how long
/// it takes tells nothing of what is right, nor how long that is.
#[derive(Clone)]
struct Proof {
    own: hmac::Key,
    tag: hmac::Tag,
}

impl Gate {
    /// As the input is set.
    pub fn new(settings: &RtmpInput, random: &mut fastrand::Rng) -> Self {
        let key = settings.key.as_ref().map(|secret| {
            let mut bytes = [0; 32];
            random.fill(&mut bytes);
            let own = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
            let tag = hmac::sign(&own, secret.reveal().as_bytes());
            Proof { own, tag }
        });
        Self { app: bare(&settings.app).to_owned(), key, shut: None }
    }

    /// The same for somebody whose key is not looked at, be it right or wrong; for how long nobody's is from there.
    #[must_use]
    pub fn shut(self, pause: Duration) -> Self {
        Self { shut: Some(pause), ..self }
    }

    /// For how long keys are not looked at, if they are not.
    pub fn pause(&self) -> Option<Duration> {
        self.shut
    }

    /// The application's name, for people.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Whether a publisher that names `app` in `connect` is right here. A query behind it, or a slash, is no part of it.
    pub fn has_app(&self, app: &str) -> bool {
        bare(app) == self.app
    }

    /// Whether `name`, which it publishes under, is the key; anything is for an open input, and nothing while it is shut.
    pub fn admits(&self, name: &str) -> bool {
        self.shut.is_none()
            && self.key.as_ref().is_none_or(|key| hmac::verify(&key.own, name.as_bytes(), key.tag.as_ref()).is_ok())
    }
}

fn bare(app: &str) -> &str {
    app.split('?').next().unwrap_or_default().trim_matches('/')
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("app", &self.app).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::config::Secret;

    fn gate(key: Option<&str>) -> Gate {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 1935));
        let settings = RtmpInput { listen, app: "live".to_owned(), key: key.map(Secret::new) };
        Gate::new(&settings, &mut fastrand::Rng::with_seed(3))
    }

    #[test]
    fn only_the_key_opens_it_and_it_keeps_that_to_itself() {
        let gate = gate(Some("s3cr3t"));
        assert!(gate.admits("s3cr3t"));
        for wrong in ["", "s3cr3", "s3cr3tt", "S3cr3t", "s3cr3t?a=b", "s3cr3t\0"] {
            assert!(!gate.admits(wrong), "{wrong:?}");
        }
        assert!(!format!("{gate:?}").contains("s3cr3t"));
    }

    #[test]
    fn shut_it_opens_to_no_key() {
        let gate = gate(Some("s3cr3t")).shut(Duration::from_secs(3));
        assert!(!gate.admits("s3cr3t") && gate.has_app("live"));
        assert_eq!(gate.pause(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn an_open_input_takes_every_name() {
        assert!(gate(None).admits("") && gate(None).admits("anything"));
    }

    #[test]
    fn the_application_is_compared_as_people_mean_it() {
        let gate = gate(None);
        assert!(["live", "live/", "/live", "live?token=1", "live/?token=1"].iter().all(|app| gate.has_app(app)));
        assert!(["", "Live", "live2", "live/key", "li"].iter().all(|app| !gate.has_app(app)));
    }
}
