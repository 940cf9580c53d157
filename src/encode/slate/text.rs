//! Pure. Sets one line of text as an outline.

use rustybuzz::ttf_parser::{GlyphId, OutlineBuilder};
use rustybuzz::{Face, UnicodeBuffer};
use tiny_skia::{Path, PathBuilder};

/// Latin, Greek and Cyrillic.
static LETTERS: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;
/// More symbols.
static SYMBOLS: &[u8] = epaint_default_fonts::HACK_REGULAR;
/// Pictographs.
static PICTOGRAPHS: &[u8] = epaint_default_fonts::NOTO_EMOJI_REGULAR;

/// A line of text as an outline: the baseline begins at (0, 0), y points down, one em is 1.
pub(super) struct Line {
    /// The outline; `None` for nothing but spaces.
    pub(super) path: Option<Path>,
    /// How far the line reaches to the right, em.
    pub(super) width: f32,
}

/// Sets `text`. Letters that no font has are left out.
pub(super) fn set(text: &str) -> Line {
    let faces: Vec<Face<'_>> =
        [LETTERS, SYMBOLS, PICTOGRAPHS].into_iter().filter_map(|data| Face::from_slice(data, 0)).collect();
    let mut outline = Outline { path: PathBuilder::new(), scale: 1.0, x: 0.0, y: 0.0 };
    let mut x = 0.0;
    for (face, run) in runs(&faces, text) {
        let scale = 1.0 / f32::from(face.units_per_em().try_into().unwrap_or(1000i16).max(1));
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(&run);
        let shaped = rustybuzz::shape(face, &[], buffer);
        for (glyph, place) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
            outline.scale = scale;
            outline.x = x + place.x_offset as f32 * scale;
            outline.y = place.y_offset as f32 * -scale;
            if let Ok(id) = u16::try_from(glyph.glyph_id) {
                face.outline_glyph(GlyphId(id), &mut outline);
            }
            x += place.x_advance as f32 * scale;
        }
    }
    Line { path: outline.path.finish(), width: x }
}

/// `text` cut into pieces that one face has all letters of.
fn runs<'f, 'a>(faces: &'f [Face<'a>], text: &str) -> Vec<(&'f Face<'a>, String)> {
    let mut runs: Vec<(&Face<'a>, String)> = Vec::new();
    for letter in text.chars() {
        let Some(face) = faces.iter().find(|face| face.glyph_index(letter).is_some()) else { continue };
        match runs.last_mut() {
            Some((last, run)) if std::ptr::eq(*last, face) => run.push(letter),
            _ => runs.push((face, letter.to_string())),
        }
    }
    runs
}

struct Outline {
    path: PathBuilder,
    scale: f32,
    x: f32,
    y: f32,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
