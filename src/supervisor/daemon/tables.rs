//! The routing tables that `[network] tables = "apply"` asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::Daemon;
use crate::config::{Settings, Tables};
use crate::events::{EventKind, Severity};
use crate::link::tables::{Keeping, Told, keep};

/// How long taking them away may take at the end.
const WITHIN: Duration = Duration::from_secs(4);

/// The thread that keeps them, while there is one.
#[derive(Default)]
pub(super) struct RoutingTables {
    keeping: Option<Keeping>,
    is_leaving: bool,
}

impl RoutingTables {
    /// In step with these settings; why not.
    fn follow(&mut self, settings: &Settings) -> Result<(), std::io::Error> {
        let names: BTreeSet<String> = settings.pinned_interfaces().iter().map(ToString::to_string).collect();
        match (settings.network.tables, &mut self.keeping) {
            (Tables::Apply, Some(keeping)) if !self.is_leaving && keeping.is_alive() => keeping.apply(names),
            (Tables::Apply, _) => (self.keeping, self.is_leaving) = (Some(keep(names)?), false),
            (Tables::Off, Some(_)) => self.leave(),
            (Tables::Off, None) => {}
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.withdraw();
            self.is_leaving = true;
        }
    }

    /// What there is to tell. Cancel-safe.
    pub(super) async fn next(&mut self) -> Told {
        if let Some(keeping) = &mut self.keeping {
            if let Some(told) = keeping.told.recv().await {
                return told;
            }
            if self.is_leaving {
                (self.keeping, self.is_leaving) = (None, false);
            }
        }
        std::future::pending().await
    }
}

impl Daemon {
    /// Lays, changes or takes away what the settings in force say.
    pub(super) fn follow_tables(&mut self) {
        if let Err(e) = self.tables.follow(&self.settings) {
            let text = format!("no routing tables can be laid: {e}");
            self.say(EventKind::TablesChanged, Severity::Warning, "", text);
        }
    }

    /// At the end of everything: what is ours goes.
    pub(super) async fn leave_tables(&mut self) {
        self.tables.leave();
        while let Some(keeping) = &mut self.tables.keeping {
            match timeout(WITHIN, keeping.told.recv()).await {
                Ok(Some(told)) => self.hear_tables(told),
                Ok(None) | Err(_) => return,
            }
        }
    }

    pub(super) fn hear_tables(&mut self, told: Told) {
        let (severity, text) = in_words(told);
        self.say(EventKind::TablesChanged, severity, "", text);
    }
}

fn in_words(told: Told) -> (Severity, String) {
    match told {
        Told::Changed { tables, added, removed } => {
            let has = |(name, table): (&String, &u32)| format!("{name} has routing table {table}");
            let all: Vec<String> = tables.iter().map(has).collect();
            let now =
                if tables.is_empty() { "no interface has a routing table of ours".to_owned() } else { all.join(", ") };
            (Severity::Info, format!("{now} ({added} routes and rules laid, {removed} taken away)"))
        }
        Told::NotAllowed => {
            let text = "the machine's routing stays as it is: `tables = \"apply\"` below [network] takes CAP_NET_ADMIN, which \
                        holdfastd has as root's service";
            (Severity::Warning, text.to_owned())
        }
        Told::Failed(why) => {
            (Severity::Warning, format!("a routing table is not as it should be: {why}; it is tried again each minute"))
        }
        Told::Fought => {
            let text = "somebody takes away our routes or rules again and again, as systemd-networkd does with what it did not \
                        make itself: for interfaces that it keeps use what `holdfast networkd` writes, and `tables = \"off\"`";
            (Severity::Warning, text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_there_is_told_with_the_number_to_look_for() {
        let tables = BTreeMap::from([("eth0".to_owned(), 100_002), ("wwan0".to_owned(), 100_003)]);
        let (severity, text) = in_words(Told::Changed { tables, added: 7, removed: 0 });
        assert_eq!(severity, Severity::Info);
        assert_eq!(
            text,
            "eth0 has routing table 100002, wwan0 has routing table 100003 (7 routes and rules laid, 0 taken away)"
        );
        let (_, none) = in_words(Told::Changed { tables: BTreeMap::new(), added: 0, removed: 7 });
        assert!(none.starts_with("no interface has"), "{none}");
    }
}
