#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::mpsc::SyncSender;

use gstreamer_app as gst_app;

use super::*;
use crate::capture::canvas::buffer_of;

const MS: i64 = 1_000_000;
/// In the place of [`SOUND_STALL`].
const STALL: Media = Media::from_millis(300);

/// A sound card, and what it is to be heard by.
struct Bench {
    audio: Audio,
    card: gst_app::AppSrc,
    sounds: Receiver<Vec<Sample>>,
    alive: SyncSender<()>,
    ended: Receiver<()>,
}

impl Bench {
    fn new() -> Self {
        gst::init().unwrap();
        let (sound_out, sounds) = sync_channel(50);
        let (notices, _) = sync_channel(1);
        let audio = Audio { device: "/dev/video0".into(), source: AudioSource::Paired, sound_out, notices };
        let (alive, ended) = sync_channel(0);
        let builder = gst_app::AppSrc::builder().format(gst::Format::Time).is_live(true).do_timestamp(true);
        Self { audio, card: builder.caps(&audio_caps()).build(), sounds, alive, ended }
    }

    /// Its life, when it delivers for so long and then nothing; how long that is, ms.
    fn live(&self, delivers: Media) -> (End, i64) {
        let (card, began) = (self.card.clone(), clock::media());
        let driver = std::thread::spawn(move || {
            while clock::media() - began < delivers {
                // Refused once the card is closed, which nobody here waits for.
                let _ = card.push_buffer(buffer_of(&[[0.1; 2]; 480]));
                clock::sleep_until(clock::media() + Media::from_millis(10));
            }
        });
        let end = self.audio.listen("hw:7", self.card.upcast_ref(), &self.ended, STALL).unwrap();
        let lasted = (clock::media() - began).as_nanos() / MS;
        driver.join().unwrap();
        (end, lasted)
    }
}

#[test]
fn a_sound_card_that_falls_silent_is_opened_again_at_once_if_it_was_well() {
    let bench = Bench::new();
    let (end, lasted) = bench.live(Media::from_millis(1500));
    let End::Failed { why, delivered } = end else { panic!("it goes on after {lasted} ms") };
    assert_eq!(why, "sound hw:7: nothing comes from it; started again");
    assert!(delivered);
    assert!(lasted >= 1500 + 250, "{lasted} ms: while something comes it is left alone");
    assert!(bench.sounds.try_iter().flatten().count() > 480, "and heard");
    drop(bench.alive);
}

#[test]
fn a_sound_card_from_which_nothing_ever_comes_is_opened_again_less_and_less_often() {
    let bench = Bench::new();
    let (end, lasted) = bench.live(Media::ZERO);
    let End::Failed { why, delivered: false } = end else { panic!("it goes on after {lasted} ms") };
    assert_eq!(why, "sound hw:7: nothing comes from it; started again");
    assert!(lasted >= 300, "{lasted} ms");
    drop(bench.alive);
}

#[test]
fn a_device_that_stops_without_a_word_is_started_again_once_it_has_delivered() {
    let ms = Media::from_millis;
    let stalls = |standing, arrived, now| stall(Some(standing), (ms(1000), ms(arrived)), ms(now)).is_some();
    let unknown = Standing::Steady(Reception::Unknown);
    assert!(!stalls(unknown, 3000, 7900), "not for so long");
    assert!(stalls(unknown, 3000, 8100));
    assert!(!stalls(unknown, 1000, 600_000), "one that has no source yet is left alone");
    assert!(!stalls(Standing::Steady(Reception::NoSignal), 3000, 8100));
    assert_eq!(stall(None, (ms(1000), ms(3000)), ms(8100)), None);
}
