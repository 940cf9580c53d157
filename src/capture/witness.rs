//! Where pictures and sound are measured, and the judge asked.
//!
//! An [`Eye`] is where a source's pictures come in, on whatever thread that is; it copies nothing of the buffer but the rows
//! it keeps. The [`Witness`] is asked by the grid thread.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::canvas::video_info;
use super::tape::{SAMPLE_RATE, Sample};
use super::truth::picture::{Luma, Measure, Meter};
use super::truth::{Input, Judge, sound};
use crate::model::{Condition, Finding, Media, TruthSettings, VideoFormat};

/// Measures a source's pictures on the canvas.
#[derive(Debug)]
pub(super) struct Eye {
    meter: Meter,
    layout: Option<gst_video::VideoInfo>,
}

impl Eye {
    pub(super) fn new(settings: &TruthSettings, canvas: VideoFormat) -> Self {
        Self { meter: Meter::new(&settings.frozen, &settings.black), layout: video_info(canvas) }
    }

    /// The next picture; `None` when it is not what the canvas says.
    pub(super) fn measure(&mut self, buffer: &gst::BufferRef) -> Option<Measure> {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, self.layout.as_ref()?).ok()?;
        let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
        let (width, height) = (usize::try_from(frame.width()).ok()?, usize::try_from(frame.height()).ok()?);
        Some(self.meter.measure(Luma::new(frame.plane_data(0).ok()?, stride, width, height)?))
    }
}

/// Tells the judge of one input what comes.
#[derive(Debug)]
pub(super) struct Witness {
    judge: Judge,
    ear: sound::Meter,
}

impl Witness {
    pub(super) fn new(settings: &TruthSettings, now: Media) -> Self {
        Self { judge: Judge::new(settings, now), ear: sound::Meter::new(SAMPLE_RATE) }
    }

    /// A picture came.
    pub(super) fn picture(&mut self, measure: Option<Measure>, at: Media) {
        self.judge.handle(Input::Picture(measure), at);
    }

    /// The last picture is the right one for now.
    pub(super) fn held(&mut self, at: Media) {
        self.judge.handle(Input::Held, at);
    }

    /// Sound came.
    pub(super) fn sound(&mut self, samples: &[Sample], now: Media) {
        if let Some(level) = self.ear.measure(samples.as_flattened(), 2) {
            self.judge.handle(Input::Sound(level), now);
        }
    }

    /// The source says what is wrong with it.
    pub(super) fn word(&mut self, word: Option<Finding>, now: Media) {
        self.judge.handle(Input::Word(word), now);
    }

    /// At least every 100 ms, when all that has come is told.
    pub(super) fn look(&mut self, now: Media) {
        self.judge.handle(Input::Look, now);
    }

    pub(super) fn condition(&self) -> &Condition {
        self.judge.condition()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::capture::truth::picture::Change;
    use crate::model::{Fault, FrameRate};

    const CANVAS: VideoFormat = VideoFormat { width: 322, height: 182, rate: FrameRate::whole(30) };

    fn buffer(level: u8, padding: u8) -> gst::Buffer {
        let layout = video_info(CANVAS).unwrap();
        let mut bytes = vec![padding; layout.size()];
        let stride = usize::try_from(layout.stride()[0]).unwrap();
        assert!(stride > 322, "there is padding");
        bytes.chunks_mut(stride).take(182).for_each(|row| row[..322].fill(level));
        gst::Buffer::from_mut_slice(bytes)
    }

    #[test]
    fn the_luma_of_a_buffer_is_measured_without_its_padding() {
        gst::init().unwrap();
        let mut eye = Eye::new(&TruthSettings::CAPTURED, CANVAS);
        let first = eye.measure(&buffer(16, 0)).unwrap();
        assert_eq!((first.change, first.black, first.level), (None, 1.0, 16.0));
        assert_eq!(eye.measure(&buffer(16, 255)).unwrap().change, Some(Change::default()));
        assert_eq!(eye.measure(&buffer(100, 0)).unwrap().level, 100.0);
        assert_eq!(eye.measure(&gst::Buffer::from_mut_slice(vec![0; 100])), None, "too small for the canvas");
    }

    #[test]
    fn what_comes_is_told_to_the_judge() {
        let mut witness = Witness::new(&TruthSettings::CAPTURED, Media::ZERO);
        let told = |witness: &Witness| witness.condition().to_string();
        for ms in (0..12_000).step_by(10) {
            let now = Media::from_millis(ms);
            witness.sound(&[[0.0; 2]; 480], now);
            witness.held(now);
            witness.look(now);
        }
        assert_eq!(told(&witness), "silent");
        let evidence = "the cable is out".to_owned();
        witness.word(Some(Finding { fault: Fault::NoSignal, evidence }), Media::from_millis(12_000));
        assert_eq!(told(&witness), "no signal, silent");
        (12_000..12_400).step_by(10).for_each(|ms| witness.look(Media::from_millis(ms)));
        assert_eq!(told(&witness), "no signal, stalled, silent");
    }
}
