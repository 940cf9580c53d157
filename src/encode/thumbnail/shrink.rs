//! Pure. A picture becomes a small one: each of its pixels is the mean of a box of the large one's.
//!
//! The boxes of luma part the picture: every pixel is in one and counts once. Chroma, which has half the size each way, is the
//! mean of what lies under the same box, one sample at least.
//!
//! *Invariant:* no size or stride makes this panic, and the small picture is never larger than the large one.

/// The most a thumbnail measures, pixels across and down.
pub const LARGEST: (usize, usize) = (320, 180);

/// A picture in I420: three planes of 8 bits, chroma at half the size each way, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    planes: [&'a [u8]; 3],
    strides: [usize; 3],
    width: usize,
    height: usize,
}

impl<'a> Planes<'a> {
    /// Rows begin every `strides` bytes; `None` if the planes do not hold a picture of `width` x `height`.
    pub fn new(planes: [&'a [u8]; 3], strides: [usize; 3], width: usize, height: usize) -> Option<Self> {
        let sizes = [(width, height), half(width, height), half(width, height)];
        let holds = planes.iter().zip(strides).zip(sizes).all(|((plane, stride), (width, height))| {
            let before_last = height.checked_sub(1).and_then(|rows| rows.checked_mul(stride));
            width > 0
                && width <= stride
                && before_last.and_then(|bytes| bytes.checked_add(width)).is_some_and(|bytes| bytes <= plane.len())
        });
        holds.then_some(Self { planes, strides, width, height })
    }

    fn row(&self, plane: usize, y: usize, width: usize) -> &'a [u8] {
        self.planes[plane].get(y * self.strides[plane]..).and_then(|rest| rest.get(..width)).unwrap_or_default()
    }
}

/// A small picture, R, G, B of 8 bits each, in full range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Small {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Row by row without gaps.
    pub rgb: Vec<u8>,
}

/// What a picture of `width` x `height` shrinks to: as much of [`LARGEST`] as its aspect allows, to the nearest pixel.
pub fn size(width: usize, height: usize) -> (usize, usize) {
    let (most_across, most_down) = LARGEST;
    let nearest = |part: usize, of: usize, whole: usize| ((2 * part * of + whole) / (2 * whole.max(1))).max(1);
    if width <= most_across && height <= most_down {
        (width, height)
    } else if width * most_down >= height * most_across {
        (most_across, nearest(height, most_across, width).min(most_down))
    } else {
        (nearest(width, most_down, height).min(most_across), most_down)
    }
}

/// Shrinks `picture`, which is in BT.709, limited range.
pub fn shrink(picture: &Planes<'_>) -> Small {
    let (width, height) = size(picture.width, picture.height);
    let mut rgb = Vec::with_capacity(width * height * 3);
    let (across, down) = (edges(picture.width, width), edges(picture.height, height));
    let mut boxes = [(); 3].map(|()| Vec::new());
    let mut sums = Vec::new();
    for rows in &down {
        means(picture, 0, rows, &across, &mut sums, &mut boxes[0]);
        let rows = under(rows);
        let columns: Vec<_> = across.iter().map(under).collect();
        means(picture, 1, &rows, &columns, &mut sums, &mut boxes[1]);
        means(picture, 2, &rows, &columns, &mut sums, &mut boxes[2]);
        let [y, u, v] = &boxes;
        rgb.extend(y.iter().zip(u).zip(v).flat_map(|((y, u), v)| colour(*y, *u, *v)));
    }
    Small { width, height, rgb }
}

type Range = std::ops::Range<usize>;

fn half(width: usize, height: usize) -> (usize, usize) {
    (width.div_ceil(2), height.div_ceil(2))
}

/// Parts `whole` pixels into `parts` runs that differ by one pixel at most.
fn edges(whole: usize, parts: usize) -> Vec<Range> {
    (0..parts).map(|n| n * whole / parts..(n + 1) * whole / parts).collect()
}

/// The chroma samples that belong to these pixels.
fn under(pixels: &Range) -> Range {
    pixels.start / 2..pixels.end.div_ceil(2)
}

/// The mean of each of `columns` in these `rows` of a plane, to the nearest. `sums` is only room to work in.
fn means(
    picture: &Planes<'_>,
    plane: usize,
    rows: &Range,
    columns: &[Range],
    sums: &mut Vec<u32>,
    means: &mut Vec<u8>,
) {
    let width = columns.last().map_or(0, |last| last.end);
    // First down, then across: down is the same for neighbours, so that the processor adds many at once.
    sums.clear();
    sums.resize(width, 0);
    for y in rows.clone() {
        for (sum, pixel) in sums.iter_mut().zip(picture.row(plane, y, width)) {
            *sum += u32::from(*pixel);
        }
    }
    means.clear();
    means.extend(columns.iter().map(|column| {
        let sum: u64 = sums[column.clone()].iter().map(|sum| u64::from(*sum)).sum();
        let count = (column.len() * rows.len()).max(1) as u64;
        u8::try_from((sum + count / 2) / count).unwrap_or(u8::MAX)
    }));
}

/// BT.709 (ITU-R BT.709-6 §3) in limited range to R, G and B in full range. Factors in 1/65536.
fn colour(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (76_309 * (i32::from(y) - 16), i32::from(u) - 128, i32::from(v) - 128);
    let level = |sum: i32| ((sum + 32_768) >> 16).clamp(0, 255) as u8;
    [level(y + 117_489 * v), level(y - 13_975 * u - 34_925 * v), level(y + 138_438 * u)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// A picture whose luma and chroma are what these say, with `padding` bytes after each row that must not be seen.
    struct Made {
        planes: [Vec<u8>; 3],
        strides: [usize; 3],
        size: (usize, usize),
    }

    impl Made {
        fn new((width, height): (usize, usize), padding: usize, level: impl Fn(usize, usize, usize) -> u8) -> Self {
            let (across, down) = half(width, height);
            let plane = |plane: usize, width: usize, height: usize| {
                let row = |y| (0..width + padding).map(move |x| (x, y));
                let at = |(x, y)| if x < width { level(plane, x, y) } else { 255 };
                (0..height).flat_map(row).map(at).collect::<Vec<u8>>()
            };
            Self {
                planes: [plane(0, width, height), plane(1, across, down), plane(2, across, down)],
                strides: [width + padding, across + padding, across + padding],
                size: (width, height),
            }
        }

        fn shrink(&self) -> Small {
            let [y, u, v] = &self.planes;
            shrink(&Planes::new([y, u, v], self.strides, self.size.0, self.size.1).unwrap())
        }
    }

    #[test]
    fn the_aspect_is_kept_and_nothing_is_made_larger() {
        for (from, to) in [
            ((1920, 1080), (320, 180)),
            ((1280, 720), (320, 180)),
            ((3840, 2160), (320, 180)),
            ((720, 576), (225, 180)),
            ((1440, 1080), (240, 180)),
            ((1080, 1920), (101, 180)),
            ((1366, 768), (320, 180)),
            ((854, 480), (320, 180)),
            ((2560, 1080), (320, 135)),
            ((7680, 128), (320, 5)),
            ((128, 4320), (5, 180)),
            ((160, 90), (160, 90)),
            ((321, 180), (320, 179)),
            ((4000, 1), (320, 1)),
        ] {
            assert_eq!(size(from.0, from.1), to, "{from:?}");
        }
    }

    #[test]
    fn a_pixel_is_the_mean_of_its_box() {
        // 640x360 to half: a box of 2x2 pixels over one sample of chroma.
        let levels = [[16, 40], [60, 83]];
        let made = Made::new((640, 360), 7, |plane, x, y| if plane == 0 { levels[y % 2][x % 2] } else { 128 });
        let small = made.shrink();
        assert_eq!((small.width, small.height, small.rgb.len()), (320, 180, 320 * 180 * 3));
        // (16 + 40 + 60 + 83) / 4 = 49.75, so 50, which is (50 - 16) * 255 / 219 = 39.6 in full range.
        assert!(small.rgb.iter().all(|level| *level == 40), "{:?}", &small.rgb[..6]);
    }

    #[test]
    fn colours_are_those_of_bt_709() {
        // What the slate's conversion makes of these colours.
        for (yuv, rgb) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([63, 102, 240], [255, 0, 0]),
            ([173, 42, 26], [0, 255, 0]),
            ([32, 240, 118], [0, 0, 255]),
            ([126, 128, 128], [128, 128, 128]),
        ] {
            let small = Made::new((1920, 1080), 128, |plane, _, _| yuv[plane]).shrink();
            let first = &small.rgb[..3];
            assert!(small.rgb.chunks(3).all(|pixel| pixel == first), "not even: {yuv:?}");
            for (found, wanted) in first.iter().zip(rgb) {
                assert!(found.abs_diff(wanted) <= 2, "{yuv:?} became {first:?}, not {rgb:?}");
            }
        }
    }

    #[test]
    fn what_stands_on_the_left_stays_there_in_colour_too() {
        let made = Made::new((1280, 720), 0, |plane, x, _| match plane {
            0 => 81,
            1 => {
                if x < 320 {
                    90
                } else {
                    240
                }
            }
            _ => {
                if x < 320 {
                    240
                } else {
                    110
                }
            }
        });
        let small = made.shrink();
        for (n, pixel) in small.rgb.chunks(3).enumerate() {
            let is_red = pixel[0] > 200 && pixel[2] < 60;
            assert_eq!(is_red, n % 320 < 160, "pixel {n}: {pixel:?}");
        }
    }

    #[test]
    fn planes_that_are_too_short_are_refused() {
        let (y, c) = ([0; 64 * 36], [0; 32 * 18]);
        assert!(Planes::new([&y, &c, &c], [64, 32, 32], 64, 36).is_some());
        assert!(Planes::new([&y[1..], &c, &c], [64, 32, 32], 64, 36).is_none());
        assert!(Planes::new([&y, &c, &c[1..]], [64, 32, 32], 64, 36).is_none());
        assert!(Planes::new([&y, &c, &c], [63, 32, 32], 64, 36).is_none());
        assert!(Planes::new([&y, &c, &c], [64, 32, usize::MAX], 64, 36).is_none());
        assert!(Planes::new([&y, &c, &c], [64, 32, 32], 0, 36).is_none());
        assert!(Planes::new([&y, &c, &c], [64, 32, 32], 64, 0).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_size_is_the_mean_of_its_boxes(width in 1usize..700, height in 1usize..400, padding in 0usize..20, seed in any::<u8>()) {
            let level = |plane: usize, x: usize, y: usize| (plane * 31 + x * 7 + y * 13 + usize::from(seed)) as u8;
            let small = Made::new((width, height), padding, level).shrink();
            prop_assert_eq!((small.width, small.height), size(width, height));
            prop_assert!(small.width <= width && small.height <= height);
            for (n, found) in small.rgb.chunks(3).enumerate().step_by(17) {
                let (column, row) = (n % small.width, n / small.width);
                let (left, right) = (column * width / small.width, (column + 1) * width / small.width);
                let (top, bottom) = (row * height / small.height, (row + 1) * height / small.height);
                let mean = |plane: usize, xs: Range, ys: Range| {
                    let all: Vec<u64> = ys.flat_map(|y| xs.clone().map(move |x| (x, y)))
                        .map(|(x, y)| u64::from(level(plane, x, y))).collect();
                    (all.iter().sum::<u64>() as f64 / all.len() as f64).round() as u8
                };
                let chroma = (left / 2..right.div_ceil(2), top / 2..bottom.div_ceil(2));
                let wanted = colour(
                    mean(0, left..right, top..bottom),
                    mean(1, chroma.0.clone(), chroma.1.clone()),
                    mean(2, chroma.0, chroma.1),
                );
                prop_assert_eq!(found, wanted, "pixel {} of {:?}", n, (small.width, small.height));
            }
        }
    }
}
