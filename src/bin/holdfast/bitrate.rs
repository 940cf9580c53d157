//! `holdfast bitrate`: the bit rates and what keeps them down; and how people write one: `2M`, `1500k`, `800000`.

use std::ops::ControlFlow;
use std::process::ExitCode;

use holdfast::config::Paths;
use holdfast::events::render;
use holdfast::model::RenditionId;

use crate::REFUSED;
use crate::desk::each_snapshot;
use crate::terminal::{complain, style, write};

/// Shows the bit rates of all renditions, or of one.
pub(crate) fn show(paths: &Paths, only: Option<&RenditionId>) -> ExitCode {
    let shown = each_snapshot(paths, false, |snapshot| {
        let page = render::bitrates(&snapshot, only, style());
        match only.filter(|_| page.is_empty()) {
            Some(rendition) => {
                complain(&format!("there is no rendition {rendition}; holdfast status lists them"));
                ControlFlow::Break(ExitCode::from(REFUSED))
            }
            None => {
                write(&page);
                ControlFlow::Continue(())
            }
        }
    });
    shown.unwrap_or_else(|e| {
        complain(&e.to_string());
        e.exit_code()
    })
}

/// A bit rate in bit/s.
///
/// # Errors
/// In words, with examples.
pub(crate) fn parse(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000u32),
        None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let example = || format!("{text:?} is not a bit rate; write 2M, 1.5M, 1500k or 1500000");
    if whole.is_empty() || part.len() > 3 || !plain(whole) || !plain(part) {
        return Err(example());
    }
    let thousandths: u32 = format!("{part:0<3}").parse().map_err(|_| example())?;
    let whole: u32 = whole.parse().map_err(|_| example())?;
    let bits = u64::from(whole) * u64::from(unit) + u64::from(thousandths) * u64::from(unit) / 1000;
    u32::try_from(bits).map_err(|_| format!("{text} is more than any encoder here can make"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn people_write_bit_rates_in_many_ways() {
        assert_eq!(parse("2M"), Ok(2_000_000));
        assert_eq!(parse("1.5M"), Ok(1_500_000));
        assert_eq!(parse("1500k"), Ok(1_500_000));
        assert_eq!(parse("800000"), Ok(800_000));
        for wrong in ["", "M", "2 M", "-2M", "2G", "1.2.3M", "1.2345M", "9999999M", "٣M", ".5M"] {
            assert!(parse(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
