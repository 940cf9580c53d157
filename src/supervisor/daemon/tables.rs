//! The routing tables that `[network] tables = "apply"` asks for.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::Daemon;
use crate::config::{Paths, Settings, Tables};
use crate::events::{EventKind, Severity};
use crate::link::tables::{Keeping, Told, keep};

/// How long taking them away may take at the end.
const WITHIN: Duration = Duration::from_secs(4);

/// The thread that keeps them, while there is one.
pub(super) struct RoutingTables {
    keeping: Option<Keeping>,
    is_leaving: bool,
    /// A file that is there while there may be some, so that a holdfastd that is to lay none takes away what one before it left.
    mark: PathBuf,
}

impl RoutingTables {
    pub(super) fn new(paths: &Paths) -> Self {
        Self { keeping: None, is_leaving: false, mark: paths.routing_tables() }
    }

    /// In step with these settings; why not.
    fn follow(&mut self, settings: &Settings) -> Result<(), std::io::Error> {
        let names: BTreeSet<String> = settings.pinned_interfaces().iter().map(ToString::to_string).collect();
        match (settings.network.tables, &mut self.keeping) {
            (Tables::Apply, Some(keeping)) if !self.is_leaving && keeping.is_alive() => keeping.apply(names),
            (Tables::Apply, _) => {
                // Without it they are laid all the same; the next boot takes them away at the latest.
                let _ = File::create(&self.mark);
                (self.keeping, self.is_leaving) = (Some(keep(names)?), false);
            }
            (Tables::Off, None) if self.mark.exists() => {
                self.keeping = Some(keep(BTreeSet::new())?);
                self.leave();
            }
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
                self.left();
            }
        }
        std::future::pending().await
    }

    fn left(&mut self) {
        (self.keeping, self.is_leaving) = (None, false);
        // Where it stays, the next holdfastd looks for nothing.
        let _ = std::fs::remove_file(&self.mark);
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
                Ok(None) => return self.tables.left(),
                Err(_) => return,
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
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::path::Path;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn one_that_is_to_lay_none_takes_away_what_one_before_it_left_and_looks_no_more() {
        let text = "[[input]]\nname = \"camera\"\nkind = \"pattern\"\n\n[[rendition]]\nname = \"main\"\n\
                    codec = \"h264\"\nsize = \"640x360\"\nbitrate = \"1500k\"\n";
        let settings = crate::config::parse(Path::new("/"), ("holdfast.toml", text), None).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path(), directory.path());
        let test = move || {
            // Not where this machine may have some.
            if unshare(CloneFlags::CLONE_NEWNET).is_err() {
                return eprintln!("skipped: this user may not make a network namespace");
            }
            let mut tables = RoutingTables::new(&paths);
            tables.follow(&settings).unwrap();
            assert!(tables.keeping.is_none(), "none was left");

            File::create(paths.routing_tables()).unwrap();
            tables.follow(&settings).unwrap();
            assert!(tables.keeping.is_some() && tables.is_leaving);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let done = async { while tables.keeping.is_some() && timeout(WITHIN, tables.next()).await.is_ok() {} };
                done.await;
            });
            assert!(tables.keeping.is_none());
            assert!(!paths.routing_tables().exists());
        };
        std::thread::spawn(test).join().unwrap();
    }

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
