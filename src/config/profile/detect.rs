//! Which profile a machine has, and why.

use std::collections::BTreeSet;
use std::fmt;

use super::HardwareProfile;
use super::glob::Glob;
use crate::model::Name;

/// What a machine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The processor's kind, as Rust and Linux call it: `x86_64`, `aarch64`.
    pub architecture: String,
    /// DMI: who made it.
    pub vendor: Option<String>,
    /// DMI: what it is.
    pub product: Option<String>,
    /// The device tree's `compatible`, most specific first.
    pub compatible: Vec<String>,
    /// What is on its PCI bus, as modaliases.
    pub modaliases: BTreeSet<String>,
    /// Whether its processor says that it is a virtual one.
    pub virtuality: Virtuality,
}

/// Whether a machine is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Virtuality {
    /// Nothing says that it is not.
    #[default]
    Real,
    /// A hypervisor made it.
    Virtual,
}

/// By what a board is known. In order of how much it says: the least first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// Any machine.
    Anything,
    /// The processor's kind.
    Architecture(String),
    /// The processor says that it is a virtual one.
    Hypervisor,
    /// DMI names this maker.
    Vendor(Glob),
    /// This is on its PCI bus.
    Modalias(Glob),
    /// DMI names this product of this maker.
    Product {
        /// The maker.
        vendor: Glob,
        /// The product.
        product: Glob,
    },
    /// The device tree says so.
    Compatible(String),
}

/// How much a sign says on a machine: by its kind, then by how exact it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight(u8, usize);

impl Sign {
    /// How much it says of `machine`, and what of the machine it fits; `None` if it does not.
    fn on(&self, machine: &Machine) -> Option<(Weight, String)> {
        let dmi = |glob: &Glob, text: &Option<String>| text.clone().filter(|text| glob.fits(text));
        match self {
            Self::Anything => Some((Weight(0, 0), "any machine".to_owned())),
            Self::Architecture(name) => {
                (*name == machine.architecture).then(|| (Weight(1, 0), format!("the processor is of the kind {name}")))
            }
            Self::Hypervisor => (machine.virtuality == Virtuality::Virtual)
                .then(|| (Weight(2, 0), "the processor says that it is a virtual one".to_owned())),
            Self::Vendor(glob) => dmi(glob, &machine.vendor)
                .map(|vendor| (Weight(3, glob.literal()), format!("DMI names {vendor:?} as its maker"))),
            Self::Modalias(glob) => machine
                .modaliases
                .iter()
                .find(|modalias| glob.fits(modalias))
                .map(|modalias| (Weight(4, glob.literal()), format!("on its PCI bus is {modalias}"))),
            Self::Product { vendor, product } => {
                let (made_by, is) = (dmi(vendor, &machine.vendor)?, dmi(product, &machine.product)?);
                let words = format!("DMI names {is:?} of {made_by:?}");
                Some((Weight(5, vendor.literal() + product.literal()), words))
            }
            // The first one in the tree is the board, those after it are what the board is like.
            Self::Compatible(name) => {
                let place = machine.compatible.iter().position(|compatible| compatible == name)?;
                Some((Weight(6, usize::MAX - place), format!("its device tree says {name:?}")))
            }
        }
    }
}

/// Which profile is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'p> {
    /// This one.
    pub profile: &'p HardwareProfile,
    /// For this reason.
    pub reason: Reason,
}

/// Why a profile is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The configuration names it.
    Named,
    /// The machine has a sign of it.
    Sign(String),
    /// The machine has signs of several that say as much; of these the first by name was taken.
    Tied {
        /// The sign of the one that was taken.
        sign: String,
        /// The others.
        with: Vec<Name>,
    },
    /// The machine has no sign of any other.
    NothingElse,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("the configuration names it"),
            Self::Sign(sign) => f.write_str(sign),
            Self::Tied { sign, with } => {
                let others: Vec<&str> = with.iter().map(Name::as_str).collect();
                let others = others.join(", ");
                write!(f, "{sign}; {others} would fit as well: name the right one as profile below [box]")
            }
            Self::NothingElse => f.write_str(
                "nothing that this machine says of itself is known to any other profile; \
                 what it really has is found out by trial",
            ),
        }
    }
}

/// There is no profile of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no hardware profile {wanted:?}; {remedy}")]
pub struct UnknownProfile {
    /// What was asked for.
    pub wanted: String,
    /// What to write instead.
    pub remedy: String,
}

/// The profile that says most of `machine`. `None` only if none fits, which cannot be while there is one for anything.
pub fn choose<'p>(machine: &Machine, profiles: &'p [HardwareProfile]) -> Option<Choice<'p>> {
    let fit = |profile: &'p HardwareProfile| {
        let signs = profile.signs.iter().filter_map(|sign| sign.on(machine));
        signs.max_by_key(|(weight, _)| *weight).map(|(weight, sign)| (weight, sign, profile))
    };
    let mut fitting: Vec<_> = profiles.iter().filter_map(fit).collect();
    let most = fitting.iter().map(|(weight, ..)| *weight).max()?;
    fitting.retain(|(weight, ..)| *weight == most);
    fitting.sort_by(|(_, _, a), (_, _, b)| a.name.cmp(&b.name));
    let with: Vec<Name> = fitting.iter().skip(1).map(|(_, _, profile)| profile.name.clone()).collect();
    let (_, sign, profile) = fitting.into_iter().next()?;
    let reason = match (with.is_empty(), most) {
        (false, _) => Reason::Tied { sign, with },
        (true, Weight(0, _)) => Reason::NothingElse,
        (true, _) => Reason::Sign(sign),
    };
    Some(Choice { profile, reason })
}

/// The profile of that name, whatever the machine is.
///
/// # Errors
/// With the names that there are.
pub fn named<'p>(name: &str, profiles: &'p [HardwareProfile]) -> Result<Choice<'p>, UnknownProfile> {
    if let Some(profile) = profiles.iter().find(|profile| profile.name.as_str() == name) {
        return Ok(Choice { profile, reason: Reason::Named });
    }
    let names = || profiles.iter().map(|profile| profile.name.as_str());
    let remedy = match crate::config::report::nearest(name, names()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("choose from {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(UnknownProfile { wanted: name.to_owned(), remedy })
}
