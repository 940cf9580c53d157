//! The slice segment data of a P picture that is nothing but skipped coding units (§7.3.8).
//!
//! A coding tree block that lies in the picture as a whole is one unit; at the right and lower edges it is split without a
//! word until what is left fits (§7.3.8.4). A unit is up to three bins: `split_cu_flag`, which is 0, unless it is of the least
//! size; `cu_transquant_bypass_flag`, if there is one; `cu_skip_flag`, which is 1. There is one merge candidate, so none is
//! named. Behind each tree block is `end_of_slice_segment_flag`.
//!
//! What is to the left of a unit or above it is never smaller than the unit, as the picture is cut off right and below only:
//! so `split_cu_flag` has but one context. `cu_skip_flag` has one for each number of neighbours there are (§9.3.4.2.2).

use super::header::{Pps, Tiles};
use super::{MuxError, Slicing};
use crate::mux::error::field;
use crate::mux::still::cabac::{Coder, Context};

/// From `initValue` (§9.3.2.2).
const fn context(value: i64) -> Context {
    Context::new((value >> 4) * 5 - 45, ((value & 15) << 3) - 16)
}

/// The contexts of P slices without `cabac_init_flag` (tables 9-6, 9-7 and 9-8).
#[derive(Clone, Copy, Debug)]
struct Contexts {
    /// `split_cu_flag` among neighbours that are no smaller: 0 is expected.
    split: Context,
    /// `cu_transquant_bypass_flag`: 1 is expected, at any quantiser. It is as good as 0 where there is nothing to transform.
    bypass: Context,
    /// `cu_skip_flag` for so many neighbours: 1 is expected.
    skip: [Context; 3],
}

impl Contexts {
    const FIRST: Self =
        Self { split: context(107), bypass: context(154), skip: [context(197), context(185), context(201)] };
}

/// A picture as it is divided.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Luma samples.
    width: u32,
    height: u32,
    /// `CtbLog2SizeY`.
    tree: u32,
    /// `MinCbLog2SizeY`.
    smallest: u32,
    bypass: bool,
    rows_apart: bool,
    /// Where tiles begin and the last ends, across and down, in coding tree blocks.
    columns: Vec<u32>,
    rows: Vec<u32>,
}

/// Part of a picture that refers to nothing beside it: coding tree blocks.
#[derive(Clone, Copy, Debug)]
struct Tile {
    left: u32,
    right: u32,
    top: u32,
    bottom: u32,
}

impl Picture {
    pub(super) fn new(slicing: &Slicing, pps: &Pps) -> Result<Self, MuxError> {
        const WHAT: &str = "HEVC SPS";
        let Slicing { width, height, smallest_block: smallest, tree_block: tree, .. } = *slicing;
        if !(4..=6).contains(&tree) {
            return Err(field(WHAT, "CtbLog2SizeY", tree));
        }
        for (name, size) in [("pic_width_in_luma_samples", width), ("pic_height_in_luma_samples", height)] {
            if size == 0 || size % (1 << smallest) != 0 {
                return Err(field(WHAT, name, size));
            }
        }
        let (across, down) = (width.div_ceil(1 << tree), height.div_ceil(1 << tree));
        let (columns, rows) = match &pps.tiles {
            None => (vec![0, across], vec![0, down]),
            Some(Tiles::Uniform(columns, rows)) => (uniform(across, *columns), uniform(down, *rows)),
            Some(Tiles::Sized(columns, rows)) => (sized(across, columns), sized(down, rows)),
        };
        if [&columns, &rows].into_iter().any(|edges| !edges.is_sorted_by(|a, b| a < b)) {
            return Err(field("HEVC PPS", "tiles", (columns.len() * rows.len()) as u64));
        }
        Ok(Self { width, height, tree, smallest, bypass: pps.bypass, rows_apart: pps.rows_apart, columns, rows })
    }

    /// Those parts that are coded apart, each with its end: the tiles, or their rows, or the whole.
    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        for (top, bottom) in pairs(&self.rows) {
            for (left, right) in pairs(&self.columns) {
                self.code(Tile { left, right, top, bottom }, &mut parts);
            }
        }
        parts
    }

    fn code(&self, tile: Tile, parts: &mut Vec<Vec<u8>>) {
        let last = (self.columns.last().copied(), self.rows.last().copied());
        let (mut coder, mut contexts) = (Coder::new(), Contexts::FIRST);
        let mut handed_down = None;
        for y in tile.top..tile.bottom {
            if self.rows_apart {
                // From behind the second block of the row above, if there is one (§9.3.1).
                contexts = handed_down.take().unwrap_or(Contexts::FIRST);
            }
            for x in tile.left..tile.right {
                self.tree(tile, [x << self.tree, y << self.tree], self.tree, &mut coder, &mut contexts);
                if x == tile.left + 1 {
                    handed_down = Some(contexts);
                }
                let ends_row = x + 1 == tile.right;
                let ends_tile = ends_row && y + 1 == tile.bottom;
                if (Some(x + 1), Some(y + 1)) == last {
                    // end_of_slice_segment_flag
                } else {
                    coder.goes_on();
                }
                if ends_tile || ends_row && self.rows_apart {
                    // That flag, or else end_of_subset_one_bit.
                    parts.push(std::mem::replace(&mut coder, Coder::new()).end());
                }
            }
        }
    }

    /// `coding_quadtree` of a block of that size, in luma samples.
    fn tree(&self, tile: Tile, [x, y]: [u32; 2], size: u32, coder: &mut Coder, contexts: &mut Contexts) {
        if x >= self.width || y >= self.height {
            return;
        }
        let side = 1 << size;
        if size > self.smallest && (x + side > self.width || y + side > self.height) {
            let half = side / 2;
            for [right, down] in [[0, 0], [half, 0], [0, half], [half, half]] {
                self.tree(tile, [x + right, y + down], size - 1, coder, contexts);
            }
            return;
        }
        if size > self.smallest {
            coder.expected(&mut contexts.split);
        }
        if self.bypass {
            coder.expected(&mut contexts.bypass);
        }
        let neighbours = usize::from(x > tile.left << self.tree) + usize::from(y > tile.top << self.tree);
        if let Some(skip) = contexts.skip.get_mut(neighbours) {
            coder.expected(skip);
        }
    }
}

/// (6-3), (6-4).
fn uniform(size: u32, tiles: u32) -> Vec<u32> {
    (0..=tiles).map(|n| n * size / tiles.max(1)).collect()
}

/// The last has what is left.
fn sized(size: u32, tiles: &[u32]) -> Vec<u32> {
    let mut begin = 0;
    let begins = tiles.iter().map(|tile| {
        begin += tile;
        begin
    });
    std::iter::once(0).chain(begins).chain([size]).collect()
}

fn pairs(edges: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    edges.iter().copied().zip(edges.iter().copied().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::still::cabac::decoder::Decoder;

    fn picture(size: [u32; 2], [tree, smallest]: [u32; 2], bypass: bool, rows_apart: bool, tiles: [u32; 2]) -> Picture {
        let [columns, rows] = [0, 1].map(|n| uniform(size[n].div_ceil(1 << tree), tiles[n]));
        Picture { width: size[0], height: size[1], tree, smallest, bypass, rows_apart, columns, rows }
    }

    /// Where a decoder finds units, and how large they are; in the order of decoding.
    fn decode(picture: &Picture) -> Vec<[u32; 3]> {
        let mut blocks = Vec::new();
        for (top, bottom) in pairs(&picture.rows) {
            for (left, right) in pairs(&picture.columns) {
                let tile = Tile { left, right, top, bottom };
                blocks.extend((top..bottom).flat_map(|y| (left..right).map(move |x| (tile, x, y))));
            }
        }
        let parts = picture.parts();
        let mut parts = parts.iter().map(|part| Decoder::new(part));
        let mut decoder = parts.next().unwrap();
        let (mut contexts, mut saved, mut found) = (Contexts::FIRST, None, Vec::new());
        for (n, (tile, x, y)) in blocks.iter().copied().enumerate() {
            if x == tile.left && (picture.rows_apart || y == tile.top) {
                if n > 0 {
                    assert!(!decoder.goes_on(), "end_of_subset_one_bit");
                    assert!(std::mem::replace(&mut decoder, parts.next().unwrap()).ends_here());
                }
                contexts = saved.take().filter(|_| y > tile.top).unwrap_or(Contexts::FIRST);
            }
            let mut open = vec![[x << picture.tree, y << picture.tree, picture.tree]];
            while let Some([x, y, size]) = open.pop() {
                let side = 1 << size;
                if x + side <= picture.width && y + side <= picture.height {
                    assert!(size == picture.smallest || decoder.is_expected(&mut contexts.split));
                    assert!(!picture.bypass || decoder.is_expected(&mut contexts.bypass));
                    let beside = [x > tile.left << picture.tree, y > tile.top << picture.tree];
                    let beside = beside.into_iter().filter(|there| *there).count();
                    assert!(decoder.is_expected(&mut contexts.skip[beside]));
                    found.push([x, y, side]);
                } else if x < picture.width && y < picture.height {
                    let half = side / 2;
                    let quarters = [[x + half, y + half], [x, y + half], [x + half, y], [x, y]];
                    open.extend(quarters.map(|[x, y]| [x, y, size - 1]));
                }
            }
            if x == tile.left + 1 {
                saved = Some(contexts);
            }
            assert_eq!(decoder.goes_on(), n + 1 < blocks.len(), "end_of_slice_segment_flag");
        }
        assert!(decoder.ends_here());
        assert!(parts.next().is_none());
        found
    }

    #[test]
    fn the_expected_is_what_a_skipped_unit_is_made_of() {
        let state = |value: i64| ((((value >> 4) * 5 - 45) * 51) >> 4) + ((value & 15) << 3) - 16;
        assert_eq!([107, 154, 197, 185, 201].map(state), [24, 64, 71, 87, 103], "0 is expected up to 63, and then 1");
    }

    #[test]
    fn a_decoder_finds_units_that_cover_the_picture_and_then_the_end() {
        for [width, height] in [[8u32, 8], [64, 64], [72, 64], [328, 184], [336, 184], [1280, 720], [520, 1000]] {
            for [tree, smallest] in [[6, 3], [6, 6], [5, 3], [4, 4], [4, 3]] {
                if [width, height].iter().any(|side| side % (1 << smallest) != 0) {
                    continue;
                }
                for options in 0..8 {
                    let tiles = if options & 4 != 0 { [2, 3].map(|n| if width > 256 { n } else { 1 }) } else { [1, 1] };
                    if height.div_ceil(1 << tree) < tiles[1] {
                        continue;
                    }
                    let (size, blocks) = ([width, height], [tree, smallest]);
                    let picture = picture(size, blocks, options & 1 != 0, options & 2 != 0, tiles);
                    let found = decode(&picture);
                    let area: u32 = found.iter().map(|[_, _, side]| side * side).sum();
                    assert_eq!(area, width * height, "{picture:?}");
                }
            }
        }
    }

    #[test]
    fn the_last_blocks_are_split_until_they_fit() {
        let picture = picture([64 + 40, 64 + 16], [6, 3], false, false, [1, 1]);
        let found = decode(&picture);
        let right = [[64, 0, 32], [96, 0, 8], [96, 8, 8], [96, 16, 8], [96, 24, 8], [64, 32, 32]];
        assert_eq!(found[..7], [&[[0, 0, 64]], &right[..]].concat());
        assert_eq!(found[11..15], [[0, 64, 16], [16, 64, 16], [32, 64, 16], [48, 64, 16]]);
    }
}
