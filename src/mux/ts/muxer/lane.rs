//! What waits for its packets: one queue for the picture, one for the sound.

use std::collections::VecDeque;

use crate::model::{AccessUnit, Media};
use crate::mux::MuxError;
use crate::mux::ts::clock::Stamp;
use crate::mux::ts::elementary::Wardrobe;
use crate::mux::ts::packet::Rope;
use crate::mux::ts::pes::{self, Bounded};
use crate::mux::ts::psi::{Announced, Carriage};

/// One access unit on its way into packets.
#[derive(Debug)]
pub(super) struct Pes {
    pub(super) rope: Rope,
    pub(super) carriage: Carriage,
    pub(super) bounded: Bounded,
    /// A decoder can start here: tables go before it.
    pub(super) key: bool,
    /// Decoding time, mux delay included.
    pub(super) dts: Media,
    /// The programme map changes with it, to this.
    announces: Option<Announced>,
    /// The tables before it are written, or it needs none.
    pub(super) introduced: bool,
    begun: bool,
}

impl Pes {
    pub(super) fn pid(&self) -> u16 {
        self.carriage.pid()
    }

    /// Whether its first packet is still to come.
    pub(super) fn is_fresh(&self) -> bool {
        !self.begun
    }

    /// Takes what it changes in the programme map.
    pub(super) fn announce(&mut self) -> Option<Announced> {
        let stream = self.announces.take();
        self.introduced |= stream.is_some() && !self.key;
        stream
    }

    /// Tells whether the packet that follows is its first.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }
}

/// One track of the programme.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// How its units are dressed; `None` until the first.
    pub(super) wardrobe: Option<Wardrobe>,
    /// What the last unit queued is announced as.
    pub(super) announced: Option<Announced>,
    pub(super) queue: VecDeque<Pes>,
    /// A unit was left out, so that what follows cannot be decoded up to the next keyframe.
    pub(super) gap: bool,
}

impl Lane {
    /// Makes a PES packet of `unit` and puts it last. Returns its bytes.
    ///
    /// # Errors
    /// A unit or configuration that transport streams cannot carry.
    pub(super) fn push(&mut self, unit: &AccessUnit, delay: Media) -> Result<usize, MuxError> {
        let fits = self.wardrobe.as_ref().is_some_and(|wardrobe| wardrobe.fits(&unit.config));
        let wardrobe = match &mut self.wardrobe {
            Some(wardrobe) if fits => wardrobe,
            other => other.insert(Wardrobe::new(&unit.config)?),
        };
        let video = unit.config.codec.is_video();
        let mut rope = wardrobe.dress(unit, !fits || (video && unit.key))?;
        let (pts, dts) = (unit.pts + delay, unit.dts + delay);
        let carriage = wardrobe.carriage();
        let (header, bounded) = pes::header(carriage.stream_id(), rope.len(), Stamp::of(pts), Stamp::of(dts));
        rope.push_front(header);
        let length = rope.len();
        let known = self.announced.as_ref() == Some(&wardrobe.announced);
        let announces = (!known).then(|| self.announced.insert(wardrobe.announced.clone()).clone());
        let key = video && unit.key;
        self.queue.push_back(Pes {
            rope,
            carriage,
            bounded,
            key,
            dts,
            introduced: !key && announces.is_none(),
            announces,
            begun: false,
        });
        Ok(length)
    }
}
