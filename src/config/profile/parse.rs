//! TOML text to [`HardwareProfile`]: the whole file, and by what the board is known.

use super::values::{self, glob, list, words};
use super::{HardwareProfile, Sign, Verified, parts};
use crate::config::file::{document, read_name, without_bom};
use crate::config::name;
use crate::config::report::{Absent, Complaint, ConfigErrors, Report, Reported, quote, verdict};
use crate::config::section::{Section, boolean, text};
use crate::model::Codec;

/// What the reader has to know of an encoder family, so that a profile names no other.
#[derive(Clone, Debug)]
pub struct KnownFamily {
    /// Its name.
    pub name: &'static str,
    /// What it makes.
    pub codecs: Vec<Codec>,
}

/// Reads a hardware profile. `file` is the name to use in messages.
///
/// # Errors
/// Every mistake, each with its place and its remedy.
pub fn parse_profile(file: &str, content: &str, families: &[KnownFamily]) -> Result<HardwareProfile, ConfigErrors> {
    let mut report = Report::new(file, without_bom(content));
    let profile = match document(&mut report) {
        Some(document) => read(Section::new(document.table(), 0, "the profile"), families, &mut report),
        None => Err(Reported),
    };
    verdict([report])?;
    profile.map_err(|Reported| ConfigErrors::unexplained(file))
}

fn read(mut root: Section<'_>, families: &[KnownFamily], report: &mut Report<'_>) -> Result<HardwareProfile, Reported> {
    let name = root.required("name", "name = \"my-board\"", name::read);
    let title = root.required("title", "title = \"what people call the board\"", read_name);
    let about = root.or("about", String::new(), words);
    let verified = root.required("verified", "verified = false", values::verified_value);
    // What is wrong with it has been said; the parts are read all the same.
    let whole = verified.unwrap_or(Verified::FromDocuments);
    let signs = signs(&mut root, report);
    let capture = parts::capture(&mut root, whole, report);
    let encoders = parts::encoders(&mut root, families, whole, report);
    let standby = parts::standby(&mut root, whole, report);
    let display = parts::display(&mut root, whole, report);
    let buttons = parts::buttons(&mut root, whole, report);
    let leds = parts::leds(&mut root, whole, report);
    let interfaces = parts::interfaces(&mut root, whole, report);
    let thermal = parts::thermal(&mut root, whole, report);
    root.finish(report);
    Ok(HardwareProfile {
        name: name?,
        title: title?,
        about: about?,
        verified: verified?,
        signs: signs?,
        capture: capture?,
        encoders: encoders?,
        standby: standby?,
        display: display?,
        buttons: buttons?,
        leds: leds?,
        interfaces: interfaces?,
        thermal: thermal?,
    })
}

/// `[match]`: by what the board is known.
fn signs(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<Vec<Sign>, Reported> {
    let Some(mut section) = root.table("match", "write [match] with one bracket, once")? else {
        let remedy = "add one that says by what the board is known, such as compatible = [\"maker,board\"]";
        return Err(root.lacks(Absent::Key("match"), &Complaint::new("has no [match]", remedy)));
    };
    let names = |v: &toml::de::DeValue<'_>| list(v, "[\"maker,board\"]", |item| compatible(text(item)?));
    let compatible = section.or("compatible", Vec::new(), names);
    let dmi = dmi(&mut section);
    let modalias = section.or("modalias", Vec::new(), |v| list(v, "[\"pci:v000010DEd*bc03*\"]", glob));
    let hypervisor = section.or("hypervisor", false, boolean);
    let architecture = section.or("architecture", Vec::new(), |v| list(v, "[\"x86_64\"]", architecture));
    let anything = section.or("anything", false, boolean);
    let signs = || {
        let mut signs: Vec<Sign> = compatible?.into_iter().map(Sign::Compatible).collect();
        signs.append(&mut dmi?);
        signs.extend(modalias?.into_iter().map(Sign::Modalias));
        signs.extend(hypervisor?.then_some(Sign::Hypervisor));
        signs.extend(architecture?.into_iter().map(Sign::Architecture));
        signs.extend(anything?.then_some(Sign::Anything));
        Ok::<_, Reported>(signs)
    };
    let signs = match signs() {
        Ok(signs) if signs.is_empty() => {
            let remedy = "add one of compatible, dmi, modalias, hypervisor, architecture or anything";
            Err(section.lacks(Absent::Other, &Complaint::new("says nothing", remedy)))
        }
        signs => signs,
    };
    section.finish(report);
    signs
}

/// `dmi = [{ vendor = "…", product = "…" }]`.
fn dmi(section: &mut Section<'_>) -> Result<Vec<Sign>, Reported> {
    const SHAPE: &str = "write a list of tables: dmi = [{ vendor = \"AZW\", product = \"EQ*\" }]";
    let mut signs = Vec::new();
    for (n, mut table) in section.list("dmi", SHAPE)?.into_iter().enumerate() {
        table.call(format!("[match], dmi {}", n + 1));
        let vendor = table.required("vendor", "vendor = \"…\" as /sys/class/dmi/id/sys_vendor has it", glob);
        let product = table.optional("product", glob);
        signs.push(vendor.and_then(|vendor| {
            Ok(match product? {
                Some(product) => Sign::Product { vendor, product },
                None => Sign::Vendor(vendor),
            })
        }));
        section.absorb(table);
    }
    signs.into_iter().collect()
}

/// `maker,board`.
fn compatible(written: &str) -> Result<String, Complaint> {
    let legal = written.split_once(',').is_some_and(|(maker, board)| !maker.is_empty() && !board.is_empty())
        && written.len() <= 128
        && written.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
    legal.then(|| written.to_owned()).ok_or_else(|| {
        let problem = format!("has {}, which no device tree says", quote(written));
        Complaint::new(problem, "write maker and board as /proc/device-tree/compatible has them: \"radxa,rock-5b\"")
    })
}

/// The kind of a processor.
fn architecture(value: &toml::de::DeValue<'_>) -> Result<String, Complaint> {
    const ALIASES: [(&str, &str); 5] =
        [("amd64", "x86_64"), ("x86-64", "x86_64"), ("x64", "x86_64"), ("arm64", "aarch64"), ("armv8", "aarch64")];
    const KINDS: [(&str, &str); 2] = [("x86_64", "x86_64"), ("aarch64", "aarch64")];
    crate::config::section::choice(value, &KINDS, &ALIASES).map(str::to_owned)
}
