//! Everything on every path, and one path.

use std::time::Duration;

use super::pair::{Pair, Peer, ms};
use crate::bonding::Policy;
use crate::srt::session::PathId;

const INTERVAL: Duration = Duration::from_micros(1754);

#[test]
fn every_packet_takes_every_path_and_a_failed_one_delays_nothing() {
    for peer in [Peer::Holdfast, Peer::Libsrt(0x01_05_01), Peer::Libsrt(0x01_05_05)] {
        let mut pair = Pair::new(Policy::Broadcast, peer, ms(150), ms(10), 0);
        let second = pair.join(1, ms(40), 0);
        pair.stream(ms(2000), INTERVAL);
        let counted = |path| pair.left.iter().filter(|(_, on, _)| *on == path).count();
        assert_eq!(counted(PathId(0)), counted(second), "{peer:?}");
        // One carries nothing any more, and then the other so little that its queue is always full.
        pair.hole(second, true);
        pair.stream(ms(3000), INTERVAL);
        pair.hole(second, false);
        pair.forward(second).rate = Some((20_000, ms(3000)));
        pair.stream(ms(3000), INTERVAL);
        assert_eq!(pair.missing(), 0, "{peer:?}");
        assert!(pair.delivered.iter().all(|(delivered, at)| *at == delivered.play_at), "{peer:?}");
        assert_eq!(pair.sender.counters(), Default::default(), "{peer:?}");
    }
}

#[test]
fn a_single_path_is_replaced_by_the_one_that_comes_after_it() {
    let mut pair = Pair::new(Policy::Single, Peer::Holdfast, ms(400), ms(10), 0);
    pair.stream(ms(1000), INTERVAL);
    pair.hole(PathId(0), true);
    pair.stream(ms(100), INTERVAL);
    let next = pair.join(1, ms(20), 0);
    pair.stream(ms(1000), INTERVAL);
    assert_eq!(pair.sender.main(), Some(next));
    assert_eq!(pair.missing(), 0);
}
