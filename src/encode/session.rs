//! Pure. The data plane's side of one worker's connection: checks the order of messages and turns units into
//! [`AccessUnit`]s.
//!
//! ```text
//!   AwaitingHello ──Hello──► Open ──Format, Unit, Condition …──► Open ──Bye──► the connection ends
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;

use super::protocol::{FromWorker, Hello, PROTOCOL, ProtocolError};
use crate::model::{AccessUnit, CodecConfig, Condition, InputId, RenditionId, Track};

/// One worker's connection.
#[derive(Debug)]
pub enum Session {
    /// Connected; nothing heard.
    AwaitingHello,
    /// Known.
    Open {
        /// Whose picture this is.
        input: InputId,
        /// What was described.
        streams: BTreeMap<u16, (RenditionId, Arc<CodecConfig>)>,
    },
}

/// What a worker's message means to the data plane.
#[derive(Clone, Debug)]
pub enum Intake {
    /// The worker said who it is.
    Opened(Hello),
    /// A stream was described, or described anew.
    Described {
        /// Which encode.
        rendition: RenditionId,
        /// The element that makes it.
        encoder: String,
    },
    /// One access unit, on CLOCK_MONOTONIC.
    Unit(AccessUnit),
    /// What is wrong with the input from here on.
    Condition(Condition),
    /// The worker ends on purpose.
    Ended {
        /// Why.
        reason: String,
    },
}

impl Session {
    /// Takes the next message in `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ProtocolError`]; drop the connection, the worker will come again.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Intake>, ProtocolError> {
        let Some(message) = FromWorker::decode(buffer)? else {
            return Ok(None);
        };
        Ok(Some(match (&mut *self, message) {
            (Self::AwaitingHello, FromWorker::Hello(hello)) => {
                if hello.protocol != PROTOCOL {
                    return Err(ProtocolError::Version { theirs: hello.protocol });
                }
                *self = Self::Open { input: hello.input.clone(), streams: BTreeMap::new() };
                Intake::Opened(hello)
            }
            (Self::AwaitingHello, _) => return Err(ProtocolError::Order("a message before Hello")),
            (Self::Open { .. }, FromWorker::Hello(_)) => return Err(ProtocolError::Order("a second Hello")),
            (Self::Open { .. }, FromWorker::Bye { reason }) => Intake::Ended { reason },
            (Self::Open { .. }, FromWorker::Condition(condition)) => Intake::Condition(condition),
            (Self::Open { streams, .. }, FromWorker::Format { stream, rendition, encoder, config }) => {
                streams.insert(stream, (rendition.clone(), config));
                Intake::Described { rendition, encoder }
            }
            (Self::Open { input, streams }, FromWorker::Unit { stream, key, pts, dts, payload }) => {
                let (rendition, config) = streams.get(&stream).ok_or(ProtocolError::NoFormat(stream))?;
                Intake::Unit(AccessUnit {
                    input: input.clone(),
                    rendition: rendition.clone(),
                    track: if config.codec.is_video() { Track::Video } else { Track::Audio },
                    pts,
                    dts,
                    key,
                    config: config.clone(),
                    payload,
                })
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;
    use crate::encode::protocol::tests::{a_conversation, black, config, hello};

    #[test]
    fn a_session_turns_messages_into_access_units() {
        let mut wire = BytesMut::new();
        a_conversation().iter().for_each(|m| m.encode(&mut wire));
        let mut session = Session::AwaitingHello;
        assert!(matches!(session.next(&mut wire), Ok(Some(Intake::Opened(_)))));
        assert!(matches!(session.next(&mut wire), Ok(Some(Intake::Described { .. }))));
        let Ok(Some(Intake::Unit(unit))) = session.next(&mut wire) else { panic!("a unit") };
        assert_eq!((unit.track, unit.key, unit.input.as_str()), (Track::Video, true, "cam"));
        assert_eq!(unit.config, config());
        assert!(matches!(session.next(&mut wire), Ok(Some(Intake::Condition(condition))) if condition == black()));
        assert!(matches!(session.next(&mut wire), Ok(Some(Intake::Condition(condition))) if condition.is_good()));
        assert!(matches!(session.next(&mut wire), Ok(Some(Intake::Ended { .. }))));
        assert!(matches!(session.next(&mut wire), Ok(None)));
    }

    #[test]
    fn what_is_out_of_order_is_refused_by_name() {
        let refused = |messages: &[FromWorker]| {
            let mut wire = BytesMut::new();
            messages.iter().for_each(|m| m.encode(&mut wire));
            let mut session = Session::AwaitingHello;
            loop {
                match session.next(&mut wire) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("accepted"),
                    Err(e) => return e,
                }
            }
        };
        let unit = a_conversation().remove(2);
        assert!(matches!(refused(std::slice::from_ref(&unit)), ProtocolError::Order(_)));
        assert!(matches!(refused(&[FromWorker::Condition(black())]), ProtocolError::Order(_)));
        assert!(matches!(refused(&[hello(), hello()]), ProtocolError::Order(_)));
        assert_eq!(refused(&[hello(), unit]), ProtocolError::NoFormat(3));
        let old = FromWorker::Hello(Hello { protocol: 99, input: InputId::new("cam").unwrap(), pid: 7 });
        assert_eq!(refused(&[old]), ProtocolError::Version { theirs: 99 });
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_loop(noise in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut wire = BytesMut::new();
            hello().encode(&mut wire);
            wire.extend_from_slice(&noise);
            let mut session = Session::AwaitingHello;
            while let Ok(Some(_)) = session.next(&mut wire) {}
        }
    }
}
