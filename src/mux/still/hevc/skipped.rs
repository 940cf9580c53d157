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
