//! Where groups of pictures begin: at the same places of the grid in every worker and rendition, after every hole, and
//! where the gate opens.
//!
//! It is decided as each picture is about to enter its encoder, in the encoder's own thread. A request made when the
//! picture is pushed would hit whichever is before it in the queue, and one for a future time is ignored by encoders
//! that shift their timestamps (x264enc in GStreamer 1.22).

use std::sync::atomic::{AtomicI64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::gate::GateControl;
use crate::encode::build::BuiltEncoder;
use crate::model::{Media, VideoGrid};

/// Begins a group at every place that `group` divides, and after every hole, since the data plane showed something else
/// meanwhile. Likewise where `gate` opens. `before` is the element that feeds the encoder, so that the request is there when the picture arrives.
pub(super) fn align(before: &gst::Element, encoder: &BuiltEncoder, grid: VideoGrid, group: i64, gate: GateControl) {
    let Some(pad) = before.static_pad("src") else { return };
    let request = encoder.keyframe_request();
    // The place expected next; only the pad's own thread touches it.
    let expected = AtomicI64::new(i64::MIN);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
            let time = Media(i64::try_from(pts.nseconds()).unwrap_or(0));
            let n = grid.nearest(time);
            let after_hole = expected.swap(n + 1, Ordering::Relaxed) != n;
            if after_hole || n % group == 0 || gate.opens_with(time) {
                request.send();
            }
        }
        gst::PadProbeReturn::Ok
    });
}
