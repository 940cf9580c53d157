//! From nobody to a session: calling and answering.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use holdfast::bonding::{Bond, LinkId};
use holdfast::link::udp::Route;
use holdfast::srt::caller::{Caller, CallerConfig, CallerEvent, CallerGroup, TIMEOUT};
use holdfast::srt::crypto::{Random, RefreshPolicy};
use holdfast::srt::listener::{Acceptance, Listener, ListenerEvent};
use holdfast::srt::session::{FEATURES, MaxBandwidth, Seed, SessionConfig};
use holdfast::srt::wire::RejectReason;
use holdfast::srt::{Negotiated, Offer, StreamId, random_socket_id};

use super::numbered::PAYLOAD;
use super::settings::{Direction, Role};
use super::{Course, Endpoint, Guest, Phase, REJOIN, Settings, Way, now_us};

impl Endpoint<'_> {
    /// Members that are not there call.
    pub(super) fn call(&mut self, now: Instant) {
        if self.listener.is_some() || matches!(self.phase, Phase::Closing | Phase::Draining { .. } | Phase::Over) {
            return;
        }
        for index in 0..self.ways.len() {
            if !matches!(&self.ways[index], Way::Idle { again } if *again <= now) {
                continue;
            }
            let settings = self.settings;
            let place = settings.places[index];
            let session = self.bond.as_ref().map(Bond::session);
            let config = CallerConfig {
                peer: place.target.ip(),
                socket_id: random_socket_id(&mut self.random),
                isn: session.map_or(self.isn, |session| session.next_seq()),
                start: session.map_or(self.start, |session| session.start()),
                offer: offer(settings),
                stream_id: StreamId::new(&settings.stream_id).expect("short enough"),
                keys: session.and_then(|session| session.keys().cloned()).or_else(|| self.keys.clone()),
                group: settings.kind.group().map(|group_type| CallerGroup {
                    id: self.group,
                    group_type,
                    weight: place.weight,
                    peer: self.peer_group,
                }),
                timeout: TIMEOUT,
            };
            self.ways[index] = Way::Calling(Box::new(Caller::new(config, now)));
        }
    }

    /// What handshakes have led to.
    pub(super) fn handshakes(&mut self, now: Instant) {
        for index in 0..self.ways.len() {
            let Way::Calling(caller) = &mut self.ways[index] else { continue };
            let place = self.settings.places[index];
            let route = Route { to: place.target, from: None };
            if let Some(datagram) = caller.poll_transmit() {
                self.ports[index].push(route, |out| out.extend_from_slice(&datagram));
            }
            match caller.poll_event() {
                Some(CallerEvent::Connected(negotiated)) => {
                    self.ways[index] = Way::Up;
                    self.connect(&negotiated, index, place.target, None, place.weight, now);
                    for way in &mut self.ways {
                        if let (Way::Calling(caller), Some(peer)) = (way, self.peer_group) {
                            caller.expect_group(peer);
                        }
                    }
                }
                Some(CallerEvent::Failed(trouble)) => {
                    self.ways[index] = Way::Idle { again: now + REJOIN };
                    (self.say)(format!("REFUSED {}", trouble.code()));
                    if trouble.needs_operator() && self.bond.is_none() {
                        self.phase = Phase::Over;
                    }
                }
                None => {}
            }
        }
        self.answer(now);
    }

    fn answer(&mut self, now: Instant) {
        while let Some(event) = self.listener.as_mut().and_then(Listener::poll_event) {
            match event {
                ListenerEvent::Request(request) => {
                    let busy = self.bond.is_some() && !self.settings.guests;
                    let acceptance = Acceptance { passphrase: self.settings.passphrase(), ..Acceptance::default() };
                    let Some(listener) = &mut self.listener else { break };
                    if busy {
                        listener.reject(request.id, RejectReason::Server(409), now);
                    } else {
                        listener.accept(request.id, &acceptance, now);
                    }
                }
                ListenerEvent::Connected { route, negotiated, .. } | ListenerEvent::Joined { route, negotiated } => {
                    let weight = negotiated.group.map_or(0, |group| group.weight);
                    self.connect(&negotiated, route.socket as usize, route.peer, route.local, weight, now);
                }
                ListenerEvent::Refused(refused) => {
                    let (events, times) = self.refusals.entry(refused.refusal.code()).or_default();
                    (*events, *times) = (*events + 1, *times + refused.times);
                    (self.say)(format!("REFUSED {} {}", refused.refusal.code(), refused.times));
                }
            }
        }
        while let Some(transmit) = self.listener.as_mut().and_then(Listener::poll_transmit) {
            let route = Route { to: transmit.route.peer, from: transmit.route.local };
            self.ports[transmit.route.socket as usize].push(route, |out| out.extend_from_slice(&transmit.datagram));
        }
    }

    /// A path is there.
    fn connect(
        &mut self,
        negotiated: &Negotiated,
        port: usize,
        peer: SocketAddr,
        from: Option<IpAddr>,
        weight: u16,
        now: Instant,
    ) {
        let calls = self.settings.direction == Direction::Call;
        // A listener knows links by their weight, as a member that comes back has another port.
        let link = LinkId(if calls { port as u32 } else { weight.into() });
        let terms = negotiated.terms();
        let is_mine = negotiated.group.map(|group| group.local) == self.local_group && self.local_group.is_some();
        if !calls && self.bond.is_some() && !is_mine {
            let config = session_config(self.settings, &mut self.random);
            let bond = Bond::new(self.settings.kind.policy(), config, &terms, link, weight, now);
            let path = bond.session().paths().next().expect("it has its first path");
            (self.say)(format!("GUEST at_us {}", now_us()));
            self.guests
                .push(Guest { bond, course: Course { path, local: negotiated.local, port, peer, from, weight } });
            return;
        }
        let path = match &mut self.bond {
            Some(bond) => match bond.add_path(&terms, link, weight, now) {
                Ok(path) => path,
                Err(why) => return (self.say)(format!("REFUSED {why}")),
            },
            None => {
                let bond = Bond::new(
                    self.settings.kind.policy(),
                    session_config(self.settings, &mut self.random),
                    &terms,
                    link,
                    weight,
                    now,
                );
                let path = bond.session().paths().next().expect("it has its first path");
                self.bond = Some(bond);
                (self.begun, self.heard) = (now, now);
                self.phase = Phase::Running;
                self.local_group = negotiated.group.map(|group| group.local);
                self.peer_group = negotiated.group.map(|group| group.peer);
                (self.say)(format!("CONNECTED at_us {}", now_us()));
                path
            }
        };
        (self.say)(format!("MEMBER {} weight {weight} up at_us {}", path.0, now_us()));
        self.courses.push(Course { path, local: negotiated.local, port, peer, from, weight });
    }
}

pub(super) fn offer(settings: &Settings) -> Offer {
    Offer {
        flow_window: settings.packets() as u32,
        receive_latency: settings.latency(),
        send_latency: settings.latency(),
        payload: if settings.role == Role::Send { PAYLOAD } else { 0 },
        features: (!settings.plain_srt).then_some(FEATURES),
        ..Offer::default()
    }
}

fn session_config(settings: &Settings, random: &mut Random) -> SessionConfig {
    let refresh = settings.refresh.map(|every| RefreshPolicy::new(every, every / 4).expect("a sensible rate"));
    SessionConfig {
        send_buffer: settings.packets(),
        receive_buffer: settings.packets(),
        max_bandwidth: MaxBandwidth::Input { overhead: settings.overhead },
        refresh: refresh.unwrap_or_default(),
        seed: Some(Seed(random.bytes())),
        ..SessionConfig::default()
    }
}
