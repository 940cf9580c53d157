//! `[telemetry]`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::bytes;
use super::quantity::with_unit;
use super::report::{Absent, Complaint, Report, Reported, quote};
use super::section::{Section, boolean, text, text_like};
use super::srt::interface;
use super::telemetry_settings::{DishSettings, Dishes, TelemetrySettings};

const HOT: RangeInclusive<u64> = 40..=120;
const MOST_DISHES: usize = 8;
/// Where dishes answer unless somebody has moved them.
const USUAL_ADDRESS: &str = "192.168.100.1:9200";

pub(super) fn read(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<TelemetrySettings, Reported> {
    let usual = TelemetrySettings::default();
    let Some(mut section) = root.table("telemetry", "write [telemetry] with one bracket, once")? else {
        return Ok(usual);
    };
    let modem = section.or("modem", usual.modem, boolean);
    let dishes = dishes(&mut section);
    let hot = section.or("hot", usual.hot_celsius, celsius);
    let disk_low = section.or("disk_low", usual.disk_low_bytes, |v| bytes::read(v, 0));
    section.finish(report);
    Ok(TelemetrySettings { modem: modem?, dishes: dishes?, hot_celsius: hot?, disk_low_bytes: disk_low? })
}

fn dishes(section: &mut Section<'_>) -> Result<Dishes, Reported> {
    const SHAPE: &str = "write a list of tables: dish = [{ interface = \"eth1\" }], or dish = [] for none";
    let is_listed = section.has("dish");
    let tables = section.list("dish", SHAPE)?;
    if !is_listed {
        return Ok(Dishes::WhereLikely);
    }
    if tables.len() > MOST_DISHES {
        let complaint = Complaint::new(format!("lists {} dishes", tables.len()), format!("keep at most {MOST_DISHES}"));
        return Err(section.complain("dish", &complaint));
    }
    let mut dishes: Vec<Result<DishSettings, Reported>> = Vec::new();
    for (n, mut table) in tables.into_iter().enumerate() {
        table.call(format!("[telemetry], dish {}", n + 1));
        let mut dish = dish(&mut table);
        if let Ok(this) = &dish
            && let Some(twin) = dishes.iter().position(|other| other.as_ref() == Ok(this))
        {
            let complaint = Complaint::new(
                format!("is the same as dish {}", twin + 1),
                "give it another interface or address, or remove it",
            );
            dish = Err(table.lacks(Absent::Other, &complaint));
        }
        dishes.push(dish);
        section.absorb(table);
    }
    Ok(Dishes::Listed(dishes.into_iter().collect::<Result<_, _>>()?))
}

fn dish(table: &mut Section<'_>) -> Result<DishSettings, Reported> {
    let usual = || USUAL_ADDRESS.parse().map_err(|_| Reported);
    let address = table.optional("address", address);
    let interface = table.optional("interface", interface);
    Ok(DishSettings { address: address?.map_or_else(usual, Ok)?, interface: interface? })
}

/// An IP address and a port: a dish has no name.
fn address(value: &DeValue<'_>) -> Result<SocketAddr, Complaint> {
    let written = text(value)?;
    match written.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 || address.ip().is_unspecified() => {
            let problem = format!("is {}, which is nowhere in particular", quote(written));
            Err(Complaint::new(problem, format!("write the dish's own, usually \"{USUAL_ADDRESS}\"")))
        }
        Ok(address) => Ok(address),
        Err(_) if written.parse::<IpAddr>().is_ok() => {
            Err(Complaint::new(format!("is {}, without a port", quote(written)), "add the port, usually :9200"))
        }
        Err(_) => Err(Complaint::new(
            format!("is {}, not an IP address and a port", quote(written)),
            format!("write it as \"{USUAL_ADDRESS}\""),
        )),
    }
}

/// A temperature: `"85C"`.
pub(super) fn celsius(value: &DeValue<'_>) -> Result<u32, Complaint> {
    let limits = format!("write a temperature from \"{}C\" to \"{}C\"", HOT.start(), HOT.end());
    let written = text_like(value, "write it in quotes with its unit, such as \"85C\"")?;
    let Some(degrees) = with_unit(written, &[("C", 1), ("°C", 1)]) else {
        return Err(Complaint::new(format!("is {}, not a temperature in degrees Celsius", quote(written)), limits));
    };
    match u32::try_from(degrees) {
        Ok(celsius) if HOT.contains(&degrees) => Ok(celsius),
        _ => Err(Complaint::new(format!("is {}", quote(written)), limits)),
    }
}
