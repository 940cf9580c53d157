//! Looks at the interfaces that something is bound to: at the start, when something about them changes, and now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::ask::look;
use super::check::{PinCheck, check};
use super::told::Telling;
use crate::clock;
use crate::events::{Event, Role};
use crate::link::fact::{LinkState, Rule};
use crate::link::links::{DefaultRoute, Knowledge, Links};

/// A network that changes is left in peace for so long: routes come after addresses, and rules after routes.
const SETTLES: Duration = Duration::from_secs(2);
/// ... but not for longer than this: one that never rests is looked at all the same.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// The kernel tells nobody of its settings (sysctl).
const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// What was found last, by the kernel's names of the interfaces.
pub type CheckedPins = BTreeMap<String, PinCheck>;

/// Looks until nobody wants to know. On the current single-threaded runtime; the looking itself is done by another thread,
/// since the kernel may take its time.
pub async fn run(
    mut names: watch::Receiver<BTreeSet<String>>,
    mut links: watch::Receiver<Arc<Links>>,
    found: watch::Sender<CheckedPins>,
    from: Role,
    events: impl Fn(Event),
) {
    let mut telling = Telling::default();
    loop {
        let unsettled = async {
            // Whoever asks while the network changes hears of troubles that are none.
            while let Ok(Ok(())) = timeout(SETTLES, links.changed()).await {}
        };
        tokio::select! {
            _ = timeout(SETTLES_WITHIN, unsettled) => {}
            () = found.closed() => return,
        }
        let (wanted, known) = (names.borrow_and_update().clone(), links.borrow_and_update().clone());
        let before = ground(&wanted, &known);
        if wanted.is_empty() {
            let _nothing = telling.tell(&[], (clock::wall(), clock::media()), &from);
            found.send_if_modified(|pins| !std::mem::take(pins).is_empty());
        } else if known.knowledge == Knowledge::Kernel {
            let asking = {
                let wanted = wanted.clone();
                tokio::task::spawn_blocking(move || look(&wanted, &known))
            };
            // A process that may not ask has said so already: it hears nothing of its interfaces either.
            if let Ok(Ok(grounds)) = asking.await {
                let checks: Vec<PinCheck> = grounds.iter().map(check).collect();
                for event in telling.tell(&checks, (clock::wall(), clock::media()), &from) {
                    events(event);
                }
                found.send_replace(checks.into_iter().map(|check| (check.interface.clone(), check)).collect());
            }
        }
        let other_ground = async {
            loop {
                if links.changed().await.is_err() {
                    return std::future::pending().await;
                }
                if before != ground(&wanted, &links.borrow()) {
                    return;
                }
            }
        };
        tokio::select! {
            () = other_ground => {}
            changed = names.changed() => if changed.is_err() { return },
            () = sleep(LOOK_ANYWAY), if !wanted.is_empty() => {}
            () = found.closed() => return,
        }
    }
}

/// What an interface's verdict depends on.
type Footing = (String, LinkState, Vec<(IpAddr, u8)>, Vec<DefaultRoute>);

fn ground(names: &BTreeSet<String>, links: &Links) -> (Knowledge, Vec<Rule>, Vec<Footing>) {
    let of = |name: &String| {
        let link = links.named(name)?;
        Some((name.clone(), link.state, link.addresses.clone(), link.routes.clone()))
    };
    (links.knowledge, links.rules.clone(), names.iter().filter_map(of).collect())
}
