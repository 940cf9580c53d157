//! What every GStreamer pipeline in the box has in common: one clock, and an end that cannot hang.

use std::sync::mpsc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::SourceError;

/// How long a pipeline may take to stop. A driver that takes longer is stuck, and only ending the process frees it.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// A pipeline on CLOCK_MONOTONIC. Running time is time on that clock, in every pipeline of every worker.
pub fn pipeline(name: &str) -> gst::Pipeline {
    let pipeline = gst::Pipeline::with_name(name);
    // Else a sound card may become the clock, and take it along when it is unplugged.
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    pipeline.set_base_time(gst::ClockTime::ZERO);
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline
}

/// Creates one element.
///
/// # Errors
/// The element is not installed; the message names it.
pub fn element(factory: &str) -> Result<gst::Element, SourceError> {
    gst::ElementFactory::make(factory).build().map_err(|_| SourceError::Missing(factory.to_owned()))
}

/// The end of a branch: hands each sample to `take` in the branch's own thread.
pub fn sink(
    caps: &gst::Caps,
    mut take: impl FnMut(&gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> + Send + 'static,
) -> gst_app::AppSink {
    gst_app::AppSink::builder()
        .caps(caps)
        .sync(false)
        .max_buffers(2)
        .callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| take(&sink.pull_sample().map_err(|_| gst::FlowError::Eos)?))
                .build(),
        )
        .build()
}

/// The time of a sample's buffer on its pipeline's time line, which is free of the offsets that encoders add.
pub fn running_time(sample: &gst::Sample) -> Option<i64> {
    let pts = sample.buffer()?.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(pts).and_then(|t| i64::try_from(t.nseconds()).ok())
}

/// The words of an error message on a bus, with the place.
pub fn error_text(error: &gst::message::Error) -> String {
    let place = error.src().map_or_else(String::new, |src| format!(" ({})", src.name()));
    format!("{}{place}", error.error())
}

/// Stops `pipeline` on a thread of its own; false when it did not stop in time.
pub fn stop(pipeline: &gst::Pipeline) -> bool {
    let (done, finished) = mpsc::sync_channel(1);
    let pipeline = pipeline.clone();
    std::thread::spawn(move || {
        let stopped = pipeline.set_state(gst::State::Null).is_ok();
        // Nobody waits any more after the deadline.
        let _ = done.send(stopped);
    });
    finished.recv_timeout(STOP_DEADLINE).unwrap_or(false)
}
