//! Pure. A frame number as black and white blocks, which a machine can read back from any encode of the picture.
//!
//! ```text
//!        ┌──────────────────────────────────────────────┐
//!        │                  the picture                 │
//!        ├──────────────────────────────────────────────┤ ◄─ 8/10 of the height
//!        │  ██ b47 b46 b45 …                     b24    │  ██ white, then 24 bits, then black
//!        │  ██ b23 b22 b21 …                     b0     │
//!        └──────────────────────────────────────────────┘
//! ```
//!
//! 32 bits of the number and a CRC-16 over them lie in two rows of 24 blocks along the bottom edge, most significant bit
//! first, white for one. A white block opens each row and a black one closes it; the reader takes its threshold from
//! them. Everything is a fraction of the picture's size, so scaling keeps it readable. At 320 x 180 a block is
//! 11 x 15 pixels.
//!
//! *Invariant:* a number that was not drawn is read with a chance of about one in 65 000 per damaged picture, and none
//! at all in a picture without the two reference columns.

/// Columns across the picture: a margin, white, 24 bits, black, a margin.
const COLUMNS: usize = 28;
/// Bits in a row.
const BITS: usize = 24;
/// Rows of the band, in 60ths of the height: first row, second row, end.
const ROWS: [usize; 3] = [49, 54, 59];
/// Where the band begins, in 60ths of the height.
const BAND: usize = 48;
/// Unit of [`ROWS`] and [`BAND`].
const HEIGHT_PARTS: usize = 60;

/// Luma of black and white in limited range (ITU-R BT.709 §4.6).
const BLACK: u8 = 16;
/// See [`BLACK`].
const WHITE: u8 = 235;

/// The reference columns must differ by at least this much luma to be a block code at all.
const LEAST_CONTRAST: u32 = 60;

/// The first line of the band in a picture of `height` lines; the picture above it is free for other things.
pub const fn band_top(height: usize) -> usize {
    height * BAND / HEIGHT_PARTS
}

/// Draws the low 32 bits of `n` into the bottom of a luma plane of `width` x `height` with `stride` bytes a line.
///
/// A plane that is shorter than `stride * height` is left alone beyond its end.
pub fn draw(n: u64, luma: &mut [u8], stride: usize, width: usize, height: usize) {
    let width = width.min(stride);
    fill(luma, stride, (0, width), (band_top(height), height), BLACK);
    let word = codeword(n);
    for (row, shift) in [(0, BITS), (1, 0)] {
        let lines = row_lines(row, height);
        fill(luma, stride, column(1, width), lines, WHITE);
        for bit in 0..BITS {
            if word >> (shift + BITS - 1 - bit) & 1 == 1 {
                fill(luma, stride, column(2 + bit, width), lines, WHITE);
            }
        }
    }
}

/// Reads back what [`draw`] drew: the low 32 bits of the number.
///
/// `None` when there is no block code, or when it is too damaged to be sure.
pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u64> {
    if width < COLUMNS * 2 || height < HEIGHT_PARTS / 2 || stride < width || luma.len() < stride * (height - 1) + width
    {
        return None;
    }
    let mut word = 0u64;
    for row in 0..2 {
        let lines = row_lines(row, height);
        let white = mean(luma, stride, column(1, width), lines);
        let black = mean(luma, stride, column(2 + BITS, width), lines);
        if white < black + LEAST_CONTRAST {
            return None;
        }
        let threshold = u32::midpoint(white, black);
        for bit in 0..BITS {
            let light = mean(luma, stride, column(2 + bit, width), lines) > threshold;
            word = word << 1 | u64::from(light);
        }
    }
    let n = word >> 16;
    (codeword(n) == word).then_some(n)
}

/// 32 bits of the number, then their CRC.
fn codeword(n: u64) -> u64 {
    let n = n & 0xffff_ffff;
    n << 16 | u64::from(crc16(n))
}

/// CRC-16/CCITT-FALSE over the four bytes of `n`, most significant first. Its start value makes the all-black word wrong.
fn crc16(n: u64) -> u16 {
    (0..32).rev().fold(0xffff, |crc: u16, bit| {
        let top = u64::from(crc >> 15) ^ (n >> bit & 1);
        crc << 1 ^ if top == 1 { 0x1021 } else { 0 }
    })
}

fn column(i: usize, width: usize) -> (usize, usize) {
    (width * i / COLUMNS, width * (i + 1) / COLUMNS)
}

fn row_lines(row: usize, height: usize) -> (usize, usize) {
    (height * ROWS[row] / HEIGHT_PARTS, height * ROWS[row + 1] / HEIGHT_PARTS)
}

fn fill(luma: &mut [u8], stride: usize, (left, right): (usize, usize), (top, bottom): (usize, usize), value: u8) {
    for line in top..bottom {
        if let Some(pixels) = luma.get_mut(line * stride + left..line * stride + right) {
            pixels.fill(value);
        }
    }
}

/// Mean over the inner half of a block each way, away from its blurred edges.
fn mean(luma: &[u8], stride: usize, (left, right): (usize, usize), (top, bottom): (usize, usize)) -> u32 {
    let inset = |from: usize, to: usize| {
        let quarter = (to - from) / 4;
        (from + quarter, (to - quarter).max(from + quarter + 1))
    };
    let ((left, right), (top, bottom)) = (inset(left, right), inset(top, bottom));
    let mut sum = 0u32;
    for line in top..bottom {
        sum += luma[line * stride + left..line * stride + right].iter().map(|&p| u32::from(p)).sum::<u32>();
    }
    sum / u32::try_from((right - left) * (bottom - top)).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u64; 7] = [0, 1, 29, 0x5555_5555, 0xaaaa_aaaa, 1_234_567_890, 0xffff_ffff];

    fn picture(n: u64, width: usize, height: usize) -> Vec<u8> {
        // A busy picture, so that nothing but the code can be what is read.
        let mut luma: Vec<u8> = (0..width * height).map(|i| u8::try_from(i * 31 % 251).unwrap_or(0)).collect();
        draw(n, &mut luma, width, width, height);
        luma
    }

    /// Box filter, the coarsest scaler there is.
    fn scaled(luma: &[u8], (w, h): (usize, usize), (to_w, to_h): (usize, usize)) -> Vec<u8> {
        let mut out = Vec::with_capacity(to_w * to_h);
        for y in 0..to_h {
            for x in 0..to_w {
                let (x0, x1) = (x * w / to_w, ((x + 1) * w / to_w).max(x * w / to_w + 1));
                let (y0, y1) = (y * h / to_h, ((y + 1) * h / to_h).max(y * h / to_h + 1));
                let block = (y0..y1).flat_map(|y| luma[y * w + x0..y * w + x1].iter());
                let (sum, count) = block.fold((0usize, 0usize), |(s, c), &p| (s + usize::from(p), c + 1));
                out.push(u8::try_from(sum / count).unwrap_or(255));
            }
        }
        out
    }

    #[test]
    fn a_number_is_read_back_at_every_size() {
        for (w, h) in [(128, 96), (320, 180), (426, 240), (640, 360), (720, 1280), (1280, 720), (1920, 1080)] {
            for n in NUMBERS {
                assert_eq!(read(&picture(n, w, h), w, w, h), Some(n), "{n} at {w}x{h}");
            }
        }
    }

    #[test]
    fn scaling_keeps_the_number() {
        for to in [(320, 180), (640, 360), (426, 240), (1920, 1080), (256, 144)] {
            for n in NUMBERS {
                let small = scaled(&picture(n, 1280, 720), (1280, 720), to);
                assert_eq!(read(&small, to.0, to.0, to.1), Some(n), "{n} scaled to {to:?}");
            }
        }
    }

    #[test]
    fn strong_noise_keeps_the_number() {
        let mut rng = fastrand::Rng::with_seed(7);
        for n in 0..40 {
            let mut luma = scaled(&picture(n, 1280, 720), (1280, 720), (320, 180));
            for p in &mut luma {
                let noise = rng.i32(-120..=120);
                *p = u8::try_from((i32::from(*p) + noise).clamp(0, 255)).unwrap_or(0);
            }
            assert_eq!(read(&luma, 320, 320, 180), Some(n));
        }
    }

    #[test]
    fn a_padded_stride_is_respected() {
        let (w, h, stride) = (320, 180, 384);
        let mut luma = vec![77; stride * h];
        draw(42, &mut luma, stride, w, h);
        assert_eq!(read(&luma, stride, w, h), Some(42));
        assert!(luma.chunks(stride).all(|line| line[w..].iter().all(|&p| p == 77)), "the padding was drawn on");
    }

    #[test]
    fn every_single_wrong_block_is_noticed() {
        let (w, h) = (320, 180);
        for row in 0..2 {
            for bit in 0..BITS {
                let mut luma = picture(123_456, w, h);
                let (left, right) = column(2 + bit, w);
                let (top, bottom) = row_lines(row, h);
                for line in top..bottom {
                    for p in &mut luma[line * w + left..line * w + right] {
                        *p = if *p > 128 { BLACK } else { WHITE };
                    }
                }
                assert_eq!(read(&luma, w, w, h), None, "row {row} bit {bit}");
            }
        }
    }

    #[test]
    fn pictures_without_a_code_are_refused() {
        let mut rng = fastrand::Rng::with_seed(11);
        for value in [0, 16, 128, 235, 255] {
            assert_eq!(read(&vec![value; 320 * 180], 320, 320, 180), None);
        }
        for _ in 0..500 {
            let noise: Vec<u8> = (0..320 * 180).map(|_| rng.u8(..)).collect();
            assert_eq!(read(&noise, 320, 320, 180), None);
        }
        assert_eq!(read(&[], 320, 320, 180), None, "no picture");
        assert_eq!(read(&[0; 100], 10, 10, 10), None, "too small a picture");
    }
}
