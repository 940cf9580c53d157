//! `[network]`: what Holdfast may do to the machine's network.

use super::network_settings::{NetworkSettings, Tables};
use super::report::{Report, Reported};
use super::section::{Section, choice};

const TABLES: [(&str, Tables); 2] = [("off", Tables::Off), ("apply", Tables::Apply)];
const ALIASES: [(&str, &str); 6] =
    [("no", "off"), ("none", "off"), ("false", "off"), ("on", "apply"), ("yes", "apply"), ("networkd", "off")];

pub(super) fn read(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<NetworkSettings, Reported> {
    let usual = NetworkSettings::default();
    let Some(mut section) = root.table("network", "write [network] with one bracket, once")? else { return Ok(usual) };
    let tables = section.or("tables", usual.tables, |v| choice(v, &TABLES, &ALIASES));
    section.finish(report);
    Ok(NetworkSettings { tables: tables? })
}
