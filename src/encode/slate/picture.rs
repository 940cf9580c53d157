//! Pure. A still picture and the form that encoders take it in.

/// Pixels, red green blue, 8 bits each, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across; even.
    pub width: u32,
    /// Pixels down; even.
    pub height: u32,
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
}

/// Luma and chroma at half the size each way, BT.709, limited range: what television is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Pixels across; even.
    pub width: u32,
    /// Pixels down; even.
    pub height: u32,
    /// Luma, `width × height`.
    pub y: Vec<u8>,
    /// Blue difference, a quarter of that.
    pub u: Vec<u8>,
    /// Red difference, likewise.
    pub v: Vec<u8>,
}

impl Picture {
    /// One colour all over.
    pub fn plain(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let pixels = width as usize * height as usize;
        Self { width, height, rgb: colour.iter().copied().cycle().take(pixels * 3).collect() }
    }

    /// Converted to BT.709 (ITU-R BT.709-6 §3), limited range, 4:2:0.
    pub fn planes(&self) -> Planes {
        let (width, height) = (self.width as usize, self.height as usize);
        let pixel = |x: usize, y: usize| {
            let at = (y.min(height.saturating_sub(1)) * width + x.min(width.saturating_sub(1))) * 3;
            let channel = |n| self.rgb.get(at + n).copied().map_or(0.0, f32::from);
            [channel(0), channel(1), channel(2)]
        };
        let luma = |[r, g, b]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let mut planes = Planes { width: self.width, height: self.height, y: Vec::new(), u: Vec::new(), v: Vec::new() };
        for y in 0..height {
            planes.y.extend((0..width).map(|x| level(16.0 + luma(pixel(x, y)) * 219.0 / 255.0)));
        }
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let four = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
                let mean: [f32; 3] = std::array::from_fn(|n| four.iter().filter_map(|p| p.get(n)).sum::<f32>() / 4.0);
                let [r, _, b] = mean;
                let grey = luma(mean);
                planes.u.push(level(128.0 + (b - grey) / 1.8556 * 224.0 / 255.0));
                planes.v.push(level(128.0 + (r - grey) / 1.5748 * 224.0 / 255.0));
            }
        }
        planes
    }
}

fn level(value: f32) -> u8 {
    // Saturates, and every NaN is 0.
    (value + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_what_bt_709_says() {
        // White, black, and the primaries' chroma at 8 bits.
        for (rgb, yuv) in [
            ([255, 255, 255], (235, 128, 128)),
            ([0, 0, 0], (16, 128, 128)),
            ([255, 0, 0], (63, 102, 240)),
            ([0, 0, 255], (32, 240, 118)),
        ] {
            let planes = Picture::plain(4, 2, rgb).planes();
            assert_eq!((planes.y[0], planes.u[0], planes.v[0]), yuv, "{rgb:?}");
            assert_eq!((planes.y.len(), planes.u.len(), planes.v.len()), (8, 2, 2));
        }
    }
}
