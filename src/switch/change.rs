//! Whose picture is on air, and what became of a stream.

use super::report::{Cut, Reason};
use super::splice::Stream;
use crate::model::{InputId, Media, RenditionId};

/// Whose pictures are on air; sound follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// No stream's: live sound that is on air stays, none is cut to.
    Nobody,
    /// Sound may be cut to from the place of the first picture on.
    Of { input: InputId, from: Media },
    /// The programme is sound only: any may be cut to.
    None,
}

/// A stream that became live, or ceased to be.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) rendition: RenditionId,
    pub(super) what: Became,
}

#[derive(Debug)]
pub(super) enum Became {
    Live(Cut),
    Filled(Reason),
}

impl Change {
    pub(super) fn live(stream: &Stream, cut: Cut) -> Self {
        Self { rendition: stream.rendition().clone(), what: Became::Live(cut) }
    }

    pub(super) fn filled(stream: &Stream, reason: Reason) -> Self {
        Self { rendition: stream.rendition().clone(), what: Became::Filled(reason) }
    }
}
