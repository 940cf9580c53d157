//! What a configuration may say and its operator should know about.

use super::network_input::{NetworkInput, Sender, SrtCall};
use super::settings::{DestinationSettings, Settings, Source, Via};
use crate::model::{InputId, InterfaceName};

impl Settings {
    /// What is allowed and will hardly do what was meant, in words.
    pub fn cautions(&self) -> Vec<String> {
        let inputs = self.open_to_all().chain(self.never_passed());
        self.unprobed().into_iter().chain(self.unbound()).chain(inputs).collect()
    }

    fn unprobed(&self) -> Option<String> {
        let fails_over = |d: &&DestinationSettings| d.enabled && matches!(d.via, Via::Failover(_));
        let id = &self.destinations.iter().find(fails_over)?.id;
        let remedy = "name two servers or more as targets of [probe]";
        match self.probe.targets.len() {
            0 => Some(format!(
                "destination \"{id}\" is to fail over, and nobody is asked whether its interfaces carry anything: a dead one is \
                 left a second later, no session stands by, and one that was left is returned to only when the other fails; {remedy}"
            )),
            1 => Some(format!(
                "destination \"{id}\" is to fail over, and only one server is asked whether its interfaces carry anything: when \
                 that one is down, it is as if none were asked; {remedy}"
            )),
            _ => None,
        }
    }

    /// Caps of links that no destination is bound to.
    fn unbound(&self) -> impl Iterator<Item = String> {
        let named = |link: &InterfaceName| {
            let paths = self.srt_destinations.iter().flat_map(|d| d.links.paths());
            self.destinations.iter().any(|d| d.via.interfaces().contains(link))
                || paths.into_iter().any(|path| path.interface.as_ref() == Some(link))
        };
        let capped = self.plans.iter().filter(|(_, plan)| plan.cap.is_some()).map(|(link, _)| link);
        capped.filter(move |link| !named(link)).map(|link| {
            format!(
                "link \"{link}\" has a data_cap, and no destination names that interface: what it carries is counted and told, \
                 but nothing leaves it when the cap is reached; name it in a destination's interface, interfaces or paths"
            )
        })
    }

    /// Inputs to which anybody may send who reaches the box.
    fn open_to_all(&self) -> impl Iterator<Item = String> {
        self.network_inputs().filter_map(|(id, input)| {
            let (listen, secret) = match &input.sender {
                Sender::Srt(srt) => match &srt.call {
                    SrtCall::Listen(listen) if srt.encryption.is_none() => (listen, "passphrase"),
                    SrtCall::Listen(_) | SrtCall::To(_) => return None,
                },
                Sender::Rtmp(rtmp) if rtmp.key.is_none() => (&rtmp.listen, "key"),
                Sender::Rtmp(_) | Sender::Rtsp(_) => return None,
            };
            let remedy = format!("give it a {secret} in the secrets file, unless nobody else is in that network");
            let is_alone = listen.ip().to_canonical().is_loopback();
            (!is_alone)
                .then(|| format!("input \"{id}\" is open: whoever reaches {listen} may put a picture on air; {remedy}"))
        })
    }

    /// Inputs that are to go on air as they come, and of which that would never be true.
    fn never_passed(&self) -> impl Iterator<Item = String> {
        let form = |n: usize| self.renditions.get(n).map(|r| (r.codec, r.width, r.height, &r.audio));
        let other = (1..self.renditions.len()).find(|n| form(*n) != form(0));
        let differing = other.and_then(|n| Some((&self.renditions.first()?.id, &self.renditions.get(n)?.id)));
        let asked = self.network_inputs().filter(|(_, input)| input.pass_through);
        asked.filter_map(move |(id, _)| {
            let (one, other) = differing?;
            Some(format!(
                "input \"{id}\" has pass_through, and renditions \"{one}\" and \"{other}\" differ: no stream is both of them, so one \
                 at least is encoded all the same; keep one rendition if nothing is to be"
            ))
        })
    }

    fn network_inputs(&self) -> impl Iterator<Item = (&InputId, &NetworkInput)> {
        self.inputs.iter().filter_map(|input| match &input.source {
            Source::Network(network) => Some((&input.id, network)),
            Source::V4l2 { .. } | Source::File { .. } | Source::Pattern { .. } => None,
        })
    }
}
