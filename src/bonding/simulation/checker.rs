//! The rules. Looks at everything that goes in and comes out, and knows what each cable was like at every moment.

use std::time::{Duration, Instant};

use super::story::Story;
use super::world::{Connection, ms};
use crate::bonding::{MOST_SWITCHES, Policy};
use crate::netem::{Duplex, End, Loss};
use crate::srt::session::{Delivered, SessionStats};
use crate::srt::wire::HEADER_LEN;

/// What the play time may be off by, besides what jitter and drift make it.
const PLAY_ERROR: Duration = Duration::from_millis(3);
/// How long a policy may take to know that a new path is good.
const SETTLE: Duration = Duration::from_millis(1500);
/// ... or one that was bad before: losses are judged over windows of 2 s, and the last one may have been half over.
const SETTLE_AGAIN: Duration = Duration::from_millis(5000);
/// Added to each bound for what is neither way nor rule: acknowledgement intervals, pace.
const MARGIN: Duration = Duration::from_millis(25);
/// A hole on the path that carries is answered within RTT + this.
const HOLE_BOUND: Duration = Duration::from_millis(40);
/// A path that carries too slowly is left within RTT + this.
const CONGESTION_BOUND: Duration = Duration::from_millis(150);

/// Losses up to this share, each by itself, must be repaired ...
const REPAIRABLE: f64 = 0.03;
/// ... if there is time to ask so often. That a packet is lost so often in a row happens once in a thousand million.
const ROUNDS: u32 = 6;

/// What a cable was like from then on.
#[derive(Clone, Copy, Debug)]
struct Era {
    from: Instant,
    /// Both ends have a connection over it, and nothing is held up.
    clean: bool,
    /// ... but now and then a packet is lost by itself, and has to be repaired.
    lossy: bool,
    /// The longest way forward and back.
    forward: Duration,
    back: Duration,
    /// Less than the stream needs fits through it, so it may be slow to notice.
    narrow: bool,
}

pub(super) struct Checker {
    story: Story,
    begin: Instant,
    /// When each packet was offered.
    offered: Vec<Instant>,
    /// The next that may be delivered.
    next: u64,
    pub(super) delivered: u64,
    pub(super) missing: Vec<u64>,
    eras: Vec<Vec<Era>>,
    /// The way of the first handshake, which the play time counts from.
    first_way: Option<Duration>,
    pub(super) switches: Vec<Instant>,
    pub(super) doubts: Vec<Instant>,
    pub(super) wakes: u64,
    pub(super) sent: u64,
    /// Data packets marked as retransmitted.
    pub(super) retransmitted: u64,
    pub(super) digest: u64,
    pub(super) worst_play_error: Duration,
    /// Of every 16th packet: those that had to arrive, and all.
    pub(super) promised: (u64, u64),
    /// For a story that is told: the present 100 ms, and what was sent in them.
    told: (u128, Vec<(u32, u32)>),
}

impl Checker {
    pub(super) fn new(story: &Story, begin: Instant) -> Self {
        Self {
            begin,
            offered: Vec::new(),
            next: 0,
            delivered: 0,
            missing: Vec::new(),
            eras: vec![Vec::new(); story.cables.len()],
            first_way: None,
            switches: Vec::new(),
            doubts: Vec::new(),
            wakes: 0,
            sent: 0,
            retransmitted: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            worst_play_error: Duration::ZERO,
            promised: (0, 0),
            told: (0, vec![(0, 0); story.cables.len()]),
            story: story.clone(),
        }
    }

    fn mix(&mut self, value: u64) {
        self.digest = (self.digest ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.begin)
    }

    pub(super) fn first_way(&mut self, way: Duration) {
        self.first_way.get_or_insert(way);
    }

    pub(super) fn offered(&mut self, number: u64, now: Instant) {
        assert_eq!(number, self.offered.len() as u64);
        self.offered.push(now);
    }

    pub(super) fn sent(&mut self, end: End, cable: usize, header: &[u8; HEADER_LEN], payload: usize, now: Instant) {
        self.sent += 1;
        if self.story.tells {
            self.tell_sent(end, cable, header, now);
        }
        // Bit 26 of a data packet's second word: R.
        self.retransmitted += u64::from(header[0] & 0x80 == 0 && header[4] & 0x04 != 0);
        self.mix(u64::try_from(self.since(now).as_nanos()).unwrap() ^ (payload as u64) << 48);
        self.mix(u64::from_be_bytes(header[..8].try_into().unwrap()));
        self.mix(u64::from_be_bytes(header[8..].try_into().unwrap()) ^ (cable as u64) << 1 ^ u64::from(end == End::A));
    }

    /// Every 100 ms: what the caller sent over each cable, and how much of it again.
    fn tell_sent(&mut self, end: End, cable: usize, header: &[u8; HEADER_LEN], now: Instant) {
        let slot = self.since(now).as_millis() / 100;
        if self.told.0 != slot {
            let told = std::mem::replace(&mut self.told, (slot, vec![(0, 0); self.eras.len()]));
            println!("{} ms: data and of that again, by cable: {:?}", told.0 * 100, told.1);
        }
        if end == End::A && header[0] & 0x80 == 0 {
            self.told.1[cable].0 += 1;
            self.told.1[cable].1 += u32::from(header[4] & 0x04 != 0);
        }
    }

    pub(super) fn delivered(&mut self, end: End, number: u64, delivered: &Delivered, now: Instant) {
        assert_eq!(end, End::B, "only the caller sends in these stories");
        assert!(number >= self.next, "{number} was delivered when {} was due: twice, or out of order", self.next);
        assert_eq!(delivered.skipped, number - self.next, "{number}: skipped packets are told as they are");
        self.missing.extend(self.next..number);
        self.next = number + 1;
        self.delivered += 1;
        self.mix(number);
        self.check_time(number, now);
    }

    /// Played at its time: never before it, and after it only if it came too late, which it may not over a clean path.
    fn check_time(&mut self, number: u64, now: Instant) {
        let due = self.offered[number as usize] + self.first_way.unwrap_or_default() + self.story.latency;
        let error = if now > due { now - due } else { due - now };
        self.worst_play_error = self.worst_play_error.max(error);
        // The clocks' drift is followed by at most 1 ms a second, right or wrong.
        let followed = self.since(now) / 1000;
        let most = PLAY_ERROR + self.jitter_of_first() + self.story.slack + followed;
        if error <= most || (now > due && self.must_arrive(number).is_none()) {
            return;
        }
        let how = if now > due { "late" } else { "early" };
        panic!("{number} was played {error:?} too {how} (at most {most:?}) at {:?}", self.since(now));
    }

    /// The drift is measured by what arrives: a first path that jitters is known only so well.
    fn jitter_of_first(&self) -> Duration {
        let worst = self.story.cables.iter().map(|(forward, back)| forward.jitter.most.max(back.jitter.most)).max();
        worst.unwrap_or_default()
    }

    /// A cable is like this from now on.
    pub(super) fn note<T: Clone>(&mut self, cable: usize, link: &Duplex<T>, connection: Connection, now: Instant) {
        let enough = |end| {
            let bottleneck = link.from(end).conditions().bottleneck;
            bottleneck.is_none_or(|bottleneck| bottleneck.rate >= 3 * self.story.rate())
        };
        let passes = |end| {
            let conditions = link.from(end).conditions();
            let repairable = match conditions.loss {
                Loss::None => true,
                Loss::Random(share) => share <= REPAIRABLE,
                Loss::Bursts(_) => false,
            };
            !conditions.hole && repairable
        };
        let lossless = |end| link.from(end).conditions().loss == Loss::None;
        let longest = |end| {
            let conditions = link.from(end).conditions();
            conditions.delay + conditions.jitter.most
        };
        let both = |rule: &dyn Fn(End) -> bool| rule(End::A) && rule(End::B);
        let made = matches!(connection, Connection::Made { .. });
        self.eras[cable].push(Era {
            from: now,
            clean: made && link.carrier() && both(&passes) && both(&enough),
            lossy: !both(&lossless),
            forward: longest(End::A),
            back: longest(End::B),
            narrow: !both(&enough),
        });
    }

    /// What is bounded.
    pub(super) fn measured(&mut self, end: End, stats: &SessionStats, now: Instant) {
        let span = self.story.latency + ms(20) + MARGIN + self.story.slack;
        assert!(
            stats.send_buffer_span <= span,
            "{:?}: the {end:?} end keeps packets for {:?}, longer than anybody can use them",
            self.since(now),
            stats.send_buffer_span
        );
        let room = 8192;
        assert!(stats.send_buffer.packets <= room && stats.receive_buffer <= room, "{stats:?}");
    }

    /// Everything has been said.
    pub(super) fn end(&mut self, now: Instant) {
        self.missing.extend(self.next..self.offered.len() as u64);
        for number in self.missing.clone() {
            if let Some(cable) = self.must_arrive(number) {
                let at = self.since(self.offered[number as usize]);
                panic!(
                    "{number}, offered at {at:?}, is missing ({} altogether) although cable {cable} was clean: {:?}",
                    self.missing.len(),
                    self.story
                );
            }
        }
        for number in (0..self.offered.len() as u64).step_by(16) {
            self.promised.0 += u64::from(self.must_arrive(number).is_some());
            self.promised.1 += 1;
        }
        let per_minute = self.switches.windows(MOST_SWITCHES + 1).find(|w| w[MOST_SWITCHES] - w[0] < ms(60_000));
        assert!(per_minute.is_none(), "more than {MOST_SWITCHES} switches in a minute: {:?}", self.switches);
        let seconds = self.since(now).as_secs_f64();
        let wakes = self.wakes as f64 / seconds;
        assert!(wakes < 4000.0, "woken {wakes:.0} times a second");
    }

    /// The cable over which a packet had to arrive, whatever happened to the others.
    fn must_arrive(&self, number: u64) -> Option<usize> {
        let offered = self.offered[number as usize];
        let until = offered + self.story.latency;
        let first_way = self.first_way?;
        (0..self.eras.len()).find(|cable| {
            let settle = if self.story.policy == Policy::Backup && self.was_bad(*cable, offered) {
                SETTLE_AGAIN
            } else {
                SETTLE
            };
            let since = offered - settle.min(self.since(offered));
            let Some(own) = self.during(*cable, since, until) else { return false };
            let bound = self.switch_bound(*cable, offered, until) + Self::repair_bound(&own);
            own.clean && bound + own.forward + MARGIN + self.story.slack * 4 <= self.story.latency + first_way
        })
    }

    /// Whether a cable has been anything but as it was when it was first connected.
    fn was_bad(&self, cable: usize, before: Instant) -> bool {
        let eras = self.eras[cable].iter().take_while(|era| era.from <= before);
        eras.skip_while(|era| !era.clean).count() > 1
    }

    /// How long repairs over this cable may take: [`ROUNDS`] askings, each a round trip and the wait before the next.
    fn repair_bound(era: &Era) -> Duration {
        let round = era.forward + era.back;
        if era.lossy { (round * 3 / 2 + ms(30)) * ROUNDS } else { Duration::ZERO }
    }

    /// How long it may take until a packet takes this cable.
    fn switch_bound(&self, cable: usize, from: Instant, until: Instant) -> Duration {
        if self.story.policy != Policy::Backup {
            return Duration::ZERO;
        }
        let others = (0..self.eras.len()).filter(|other| *other != cable);
        let of = others.filter_map(|other| {
            let era = self.during(other, from.checked_sub(SETTLE)?, until)?;
            let rule = if era.narrow { CONGESTION_BOUND } else { HOLE_BOUND };
            Some(era.forward + era.back + rule)
        });
        of.max().unwrap_or_default()
    }

    /// The worst of what a cable was between two times; `None` if it was not there at first.
    fn during(&self, cable: usize, from: Instant, until: Instant) -> Option<Era> {
        let eras = &self.eras[cable];
        let first = eras.iter().rposition(|era| era.from <= from)?;
        let within = eras[first..].iter().take_while(|era| era.from <= until);
        within.copied().reduce(|a, b| Era {
            from: a.from,
            clean: a.clean && b.clean,
            lossy: a.lossy || b.lossy,
            forward: a.forward.max(b.forward),
            back: a.back.max(b.back),
            narrow: a.narrow || b.narrow,
        })
    }
}
