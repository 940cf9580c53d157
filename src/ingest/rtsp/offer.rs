//! Pure. What a camera offers, and what of it is taken: the first picture and the first sound that we speak.

use bytes::Bytes;

use crate::model::Codec;
use crate::mux::aac::AudioSpecificConfig;

/// One stream of the session's description.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// `video`, `audio`, `application`.
    pub(super) media: String,
    /// The name of its RTP payload format, in lower case.
    pub(super) encoding: String,
    /// Its configuration record, where the description has one that can be read.
    pub(super) record: Option<Bytes>,
}

/// What is taken, as places in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) picture: Option<(usize, Codec)>,
    pub(super) sound: Option<usize>,
    /// Pictures and sounds that we do not speak, by name.
    pub(super) strange: Vec<String>,
}

/// Chooses. A second picture is a camera's smaller one, a second sound another language: neither is asked for.
pub(super) fn choose(offers: &[Offer]) -> Choice {
    let mut choice = Choice::default();
    for (place, offer) in offers.iter().enumerate() {
        match (offer.media.as_str(), offer.encoding.as_str()) {
            ("video", "h264") => {
                choice.picture.get_or_insert((place, Codec::H264));
            }
            ("video", "h265") => {
                choice.picture.get_or_insert((place, Codec::Hevc));
            }
            ("audio", "mpeg4-generic") if is_aac_lc(offer) => {
                choice.sound.get_or_insert(place);
            }
            ("video" | "audio", encoding) => choice.strange.push(encoding.to_uppercase()),
            // Metadata: motion, ONVIF events.
            _ => {}
        }
    }
    choice
}

fn is_aac_lc(offer: &Offer) -> bool {
    let config = offer.record.as_deref().and_then(|record| AudioSpecificConfig::parse(record).ok());
    config.is_some_and(|config| config.object_type == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(media: &str, encoding: &str, record: &'static [u8]) -> Offer {
        let record = (!record.is_empty()).then(|| Bytes::from_static(record));
        Offer { media: media.to_owned(), encoding: encoding.to_owned(), record }
    }

    #[test]
    fn the_first_picture_and_the_first_sound_that_we_speak_are_taken() {
        let offers = [
            offer("application", "vnd.onvif.metadata", &[]),
            offer("audio", "pcmu", &[]),
            offer("video", "jpeg", &[]),
            offer("video", "h265", &[]),
            offer("video", "h264", &[]),
            offer("audio", "mpeg4-generic", &[0x2b, 0x92, 0x08, 0x00]), // SBR
            offer("audio", "mpeg4-generic", &[]),
            offer("audio", "mpeg4-generic", &[0x11, 0x90]),
            offer("audio", "mpeg4-generic", &[0x12, 0x10]),
        ];
        let strange = ["PCMU", "JPEG", "MPEG4-GENERIC", "MPEG4-GENERIC"].map(str::to_owned).to_vec();
        assert_eq!(choose(&offers), Choice { picture: Some((3, Codec::Hevc)), sound: Some(7), strange });
        assert_eq!(choose(&offers[..1]), Choice::default());
    }
}
