//! Picture sizes: `"1280x720"`.

use toml::de::DeValue;

use super::report::{Complaint, quote};
use super::section::text_like;

/// Width and height in pixels: even (4:2:0 colour), 128–7680 by 96–4320.
pub(super) fn read(value: &DeValue<'_>) -> Result<(u32, u32), Complaint> {
    let written = text_like(value, "write width x height in quotes, such as \"1280x720\"")?;
    let parts = written.split_once(['x', 'X', '×']).map(|(w, h)| (w.trim().parse(), h.trim().parse()));
    let Some((Ok(width), Ok(height))) = parts else {
        let remedy = match written.trim_end_matches(['p', 'i']) {
            "480" => "did you mean \"854x480\"?",
            "720" => "did you mean \"1280x720\"?",
            "1080" => "did you mean \"1920x1080\"?",
            "1440" => "did you mean \"2560x1440\"?",
            "2160" | "4k" | "4K" => "did you mean \"3840x2160\"?",
            _ => "write width x height in pixels, such as \"1280x720\"",
        };
        return Err(Complaint::new(format!("is {}, not a picture size", quote(written)), remedy));
    };
    let (width, height): (u32, u32) = (width, height);
    if !(128..=7680).contains(&width) || !(96..=4320).contains(&height) {
        let problem = format!("is {}, outside what can be encoded", quote(written));
        return Err(Complaint::new(problem, "write a size from \"128x96\" to \"7680x4320\""));
    }
    if width % 2 == 1 || height % 2 == 1 {
        let even = format!("{}x{}", width - width % 2, height - height % 2);
        let problem = format!("is {}, and encoders need even numbers", quote(written));
        return Err(Complaint::new(problem, format!("write \"{even}\"")));
    }
    Ok((width, height))
}
