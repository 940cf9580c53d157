//! Pure. The picture that stands in when nobody gave another: the box's name on a dark ground.
//!
//! Laid out for 1280x720 and scaled; type shrinks less than the picture, so that 320x180 can still be read.

use tiny_skia::{
    Color, FillRule, GradientStop, LinearGradient, Paint, PathBuilder, Pixmap, Point, RadialGradient, Rect, Shader,
    SpreadMode, Stroke, Transform,
};

use super::picture::Picture;
use super::text::{self, Line};

/// What the card says under the name.
const PROMISE: &str = "We\u{2019}ll be right back";
/// Said in the name's place when no font has any of its letters.
const NAMELESS: &str = "Holdfast";

/// Draws the card for a box called `name`. Sides of 0 are taken as 2.
pub fn draw(name: &str, width: u32, height: u32) -> Picture {
    let (width, height) = (width.max(2), height.max(2));
    let Some(mut canvas) = Pixmap::new(width, height) else {
        return Picture::plain(width, height, GROUND_LOW);
    };
    ground(&mut canvas);
    rings(&mut canvas);
    words(&mut canvas, name);
    picture(&canvas)
}

/// The card's words alone on one colour, at `size` times their usual size, 0 to 1; at 0 there are none.
pub fn draw_plain(name: &str, width: u32, height: u32, size: f32) -> Picture {
    let (width, height) = (width.max(2), height.max(2));
    let part = |side: u32| (side as f32 * size.clamp(0.0, 1.0)) as u32;
    let (mut whole, Some(mut canvas)) =
        (Picture::plain(width, height, GROUND_LOW), Pixmap::new(part(width), part(height)))
    else {
        return Picture::plain(width, height, GROUND_LOW);
    };
    canvas.fill(colour(GROUND_LOW, 255));
    words(&mut canvas, name);
    let small = picture(&canvas);
    let above = ((height - small.height) / 2) as usize;
    let rows = whole.rgb.chunks_exact_mut(width as usize * 3).skip(above);
    for (to, from) in rows.zip(small.rgb.chunks_exact((small.width as usize * 3).max(1))) {
        if let Some(to) = to.get_mut(..from.len()) {
            to.copy_from_slice(from);
        }
    }
    whole
}

fn picture(canvas: &Pixmap) -> Picture {
    // The ground is opaque, so the stored colour is the colour.
    let rgb = canvas.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    Picture { width: canvas.width(), height: canvas.height(), rgb }
}

const GROUND_HIGH: [u8; 3] = [0x1d, 0x2b, 0x4a];
const GROUND_LOW: [u8; 3] = [0x0a, 0x0f, 0x1e];
const ACCENT_WARM: [u8; 3] = [0xff, 0xb4, 0x5e];
const ACCENT_DEEP: [u8; 3] = [0xff, 0x6b, 0x6b];

fn colour([r, g, b]: [u8; 3], alpha: u8) -> Color {
    Color::from_rgba8(r, g, b, alpha)
}

fn size(canvas: &Pixmap) -> (f32, f32, f32) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    (width, height, (width / 1280.0).min(height / 720.0))
}

fn paint(shader: Shader<'_>) -> Paint<'_> {
    Paint { shader, anti_alias: true, ..Paint::default() }
}

/// Night blue, lighter towards the upper left, with a low warm glow at the right.
fn ground(canvas: &mut Pixmap) {
    let (width, height, _) = size(canvas);
    canvas.fill(colour(GROUND_LOW, 255));
    let Some(all) = Rect::from_xywh(0.0, 0.0, width, height) else { return };
    let slope = LinearGradient::new(
        Point::from_xy(0.0, 0.0),
        Point::from_xy(width * 0.75, height),
        vec![GradientStop::new(0.0, colour(GROUND_HIGH, 255)), GradientStop::new(1.0, colour(GROUND_LOW, 255))],
        SpreadMode::Pad,
        Transform::identity(),
    );
    let centre = ring_centre(canvas);
    let glow = RadialGradient::new(
        centre,
        0.0,
        centre,
        height * 0.85,
        vec![GradientStop::new(0.0, colour(ACCENT_DEEP, 46)), GradientStop::new(1.0, colour(ACCENT_DEEP, 0))],
        SpreadMode::Pad,
        Transform::identity(),
    );
    for shader in [slope, glow].into_iter().flatten() {
        canvas.fill_rect(all, &paint(shader), Transform::identity(), None);
    }
}

fn ring_centre(canvas: &Pixmap) -> Point {
    let (width, height, _) = size(canvas);
    Point::from_xy(width * 0.97, height * 0.80)
}

/// Waves that leave a transmitter off the lower right corner.
fn rings(canvas: &mut Pixmap) {
    let (_, height, scale) = size(canvas);
    let centre = ring_centre(canvas);
    for n in 0..6u8 {
        let radius = height * (0.10 + 0.115 * f32::from(n));
        let Some(circle) = PathBuilder::from_circle(centre.x, centre.y, radius) else { continue };
        let shade = 88u8.saturating_sub(n * 14);
        let stroke = Stroke { width: (3.0 * scale).max(1.0), ..Stroke::default() };
        canvas.stroke_path(
            &circle,
            &paint(Shader::SolidColor(colour(ACCENT_WARM, shade))),
            &stroke,
            Transform::identity(),
            None,
        );
    }
    if let Some(source) = PathBuilder::from_circle(centre.x, centre.y, height * 0.022) {
        let shader = Shader::SolidColor(colour(ACCENT_WARM, 230));
        canvas.fill_path(&source, &paint(shader), FillRule::Winding, Transform::identity(), None);
    }
}

/// The name, a short rule, the promise; one block, centred a little above the middle.
fn words(canvas: &mut Pixmap, name: &str) {
    let (width, height, scale) = size(canvas);
    let left = width * 0.075;
    let (lines, em) = fitted(name, 116.0 * scale, width * 0.78);
    // Smaller than this cannot be read; the line then runs off the edge.
    let em = em.max(18.0_f32.min(height * 0.12));
    let promise = text::set(PROMISE);
    let small = (40.0 * scale).max(13.0_f32.min(height * 0.1));
    let gap = (34.0 * scale).max(7.0);
    let rule = (6.0 * scale).max(2.0);
    let further = em * 1.12;

    // Measured from capital height (0.7 em) of the name to the promise's baseline.
    let block = em * 0.70 + further * (lines.len() as f32 - 1.0) + gap + rule + gap + small * 0.72;
    let mut baseline = (height - block) * 0.46 + em * 0.70;
    for (n, line) in (0u16..).zip(&lines) {
        if n > 0 {
            baseline += further;
        }
        set_line(canvas, line, left, baseline, em, 0.030, Shader::SolidColor(Color::WHITE));
    }

    let top = baseline + gap + em * 0.08;
    if let Some(bar) = Rect::from_xywh(left, top, 120.0 * scale, rule) {
        let fade = LinearGradient::new(
            Point::from_xy(left, 0.0),
            Point::from_xy(left + 120.0 * scale, 0.0),
            vec![GradientStop::new(0.0, colour(ACCENT_WARM, 255)), GradientStop::new(1.0, colour(ACCENT_DEEP, 255))],
            SpreadMode::Pad,
            Transform::identity(),
        );
        let shader = fade.unwrap_or(Shader::SolidColor(colour(ACCENT_WARM, 255)));
        canvas.fill_rect(bar, &paint(shader), Transform::identity(), None);
    }
    let grey = Shader::SolidColor(Color::from_rgba8(0xc9, 0xd3, 0xe6, 255));
    set_line(canvas, &promise, left, top + rule + gap + small * 0.72, small, 0.016, grey);
}

/// `name` in one line, or in two where that lets it be set much larger, and the size at which it fits.
fn fitted(name: &str, full: f32, room: f32) -> (Vec<Line>, f32) {
    let size_of = |lines: &[Line]| lines.iter().map(|l| room / l.width.max(0.1)).fold(full, f32::min);
    let whole = text::set(name);
    if whole.path.is_none() {
        let lines = vec![text::set(NAMELESS)];
        let em = size_of(&lines);
        return (lines, em);
    }
    let one = vec![whole];
    let em = size_of(&one);
    let halves = name.match_indices(' ').map(|(at, _)| name.split_at(at));
    let even = halves.min_by_key(|(a, b)| a.chars().count().abs_diff(b.chars().count()));
    if let Some((first, second)) = even {
        let two = vec![text::set(first.trim()), text::set(second.trim())];
        let em_of_two = size_of(&two).min(full * 0.86);
        if em_of_two > em * 1.25 && two.iter().all(|l| l.path.is_some()) {
            return (two, em_of_two);
        }
    }
    (one, em)
}

/// Fills a line and strokes its edge, which makes a light face a medium one.
fn set_line(canvas: &mut Pixmap, line: &Line, x: f32, y: f32, em: f32, weight: f32, shader: Shader<'_>) {
    let Some(path) = &line.path else { return };
    let place = Transform::from_scale(em, em).post_translate(x, y);
    let paint = paint(shader);
    canvas.fill_path(path, &paint, FillRule::Winding, place, None);
    let stroke = Stroke { width: weight, line_join: tiny_skia::LineJoin::Round, ..Stroke::default() };
    canvas.stroke_path(path, &paint, &stroke, place, None);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// Bright pixels in the left four fifths: type.
    fn ink(picture: &Picture) -> usize {
        let rows = picture.rgb.chunks(picture.width as usize * 3);
        let bright = |row: &[u8]| row.chunks(3).take(picture.width as usize * 4 / 5).filter(|p| p[0] > 180).count();
        rows.map(bright).sum()
    }

    #[test]
    fn every_size_that_a_rendition_may_have_is_drawn_whole() {
        for (width, height) in [(1280, 720), (320, 180), (128, 96), (1920, 96), (128, 1080), (360, 640), (0, 0)] {
            let picture = draw("Holdfast", width, height);
            assert_eq!(picture.rgb.len(), (picture.width * picture.height * 3) as usize);
        }
    }

    #[test]
    fn every_name_leaves_something_to_read() {
        let plain = ink(&draw("Holdfast", 320, 180));
        for name in
            ["Jürgens Übertragungswagen", "Студия 2", "Ωμέγα", "放送車", "🎥 Stage", "", " ", "\u{202e}\u{0}\n", "東"]
        {
            let ink = ink(&draw(name, 320, 180));
            assert!(ink > plain / 4, "{name:?} left {ink} bright pixels, a plain name {plain}");
        }
        let longest = "W".repeat(64);
        assert!(ink(&draw(&longest, 320, 180)) > 0);
    }

    #[test]
    fn two_boxes_have_two_cards() {
        assert_ne!(draw("North stage", 320, 180), draw("South stage", 320, 180));
    }
}
