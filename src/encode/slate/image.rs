//! A PNG or JPEG file's content, fitted into a picture; and a picture as PNG.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageReader, Limits};

use super::picture::Picture;

/// Why a file's content is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Neither PNG nor JPEG, or damaged, or larger than 16384 pixels a side.
    #[error("not a PNG or JPEG that can be read: {0}")]
    Unreadable(#[from] image::ImageError),
}

/// Longest side that is decoded, pixels.
const MAX_SIDE: u32 = 16_384;
/// Most memory that decoding may take, bytes.
const MAX_ALLOC: u64 = 1 << 30;

/// Decodes `file` and scales it to fit into `width` by `height`, whole, with black beside or above and below it where
/// the shapes differ. What is transparent is black.
///
/// # Errors
/// [`ImageError`].
pub fn fit(file: &[u8], width: u32, height: u32) -> Result<Picture, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(image::ImageError::from)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoded = reader.decode()?.into_rgba8();
    for pixel in decoded.pixels_mut() {
        let [r, g, b, a] = pixel.0;
        let dim = |c: u8| (u16::from(c) * u16::from(a) / 255) as u8;
        pixel.0 = [dim(r), dim(g), dim(b), 255];
    }
    let scale = (f64::from(width) / f64::from(decoded.width().max(1)))
        .min(f64::from(height) / f64::from(decoded.height().max(1)));
    let side = |pixels: u32, room: u32| ((f64::from(pixels) * scale).round() as u32).clamp(1, room.max(1));
    let (w, h) = (side(decoded.width(), width), side(decoded.height(), height));
    let scaled = imageops::resize(&decoded, w, h, FilterType::CatmullRom);
    let mut picture = Picture::plain(width, height, [0, 0, 0]);
    let (left, top) = (((width - w.min(width)) / 2) as usize, ((height - h.min(height)) / 2) as usize);
    let rows = picture.rgb.chunks_exact_mut((width as usize * 3).max(1)).skip(top);
    for (row, source) in rows.zip(scaled.rows()) {
        for (to, from) in row.chunks_exact_mut(3).skip(left).zip(source) {
            let [r, g, b, _] = from.0;
            to.copy_from_slice(&[r, g, b]);
        }
    }
    Ok(picture)
}

/// Writes `picture` as a PNG file.
///
/// # Errors
/// The disk's.
pub fn save_png(picture: &Picture, path: &Path) -> Result<(), image::ImageError> {
    image::save_buffer_with_format(
        path,
        &picture.rgb,
        picture.width,
        picture.height,
        image::ExtendedColorType::Rgb8,
        image::ImageFormat::Png,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    fn encoded(image: &image::DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn at(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
        let at = ((y * picture.width + x) * 3) as usize;
        picture.rgb[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn a_picture_of_another_shape_is_shown_whole_between_black_bars() {
        let green = image::DynamicImage::from(RgbImage::from_pixel(400, 400, Rgb([0, 200, 0])));
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let picture = fit(&encoded(&green, format), 320, 180).unwrap();
            let [_, middle, _] = at(&picture, 160, 90);
            assert!(middle > 190, "{format:?}");
            assert_eq!(at(&picture, 10, 90), [0, 0, 0], "{format:?}");
            assert_eq!(at(&picture, 310, 90), [0, 0, 0], "{format:?}");
        }
        let wide = image::DynamicImage::from(RgbImage::from_pixel(1000, 10, Rgb([0, 200, 0])));
        let picture = fit(&encoded(&wide, ImageFormat::Png), 320, 180).unwrap();
        assert_eq!(at(&picture, 160, 10), [0, 0, 0]);
        assert_eq!(at(&picture, 160, 90), [0, 200, 0]);
    }

    #[test]
    fn what_is_transparent_is_black() {
        let ghost = image::DynamicImage::from(RgbaImage::from_pixel(32, 18, Rgba([255, 255, 255, 0])));
        let picture = fit(&encoded(&ghost, ImageFormat::Png), 320, 180).unwrap();
        assert_eq!(at(&picture, 160, 90), [0, 0, 0]);
    }

    #[test]
    fn damaged_files_are_refused_and_never_panic() {
        let file = encoded(&image::DynamicImage::from(RgbImage::new(64, 64)), ImageFormat::Png);
        assert!(fit(b"", 320, 180).is_err());
        assert!(fit(b"GIF89a", 320, 180).is_err());
        for cut in 0..file.len() - 12 {
            assert!(fit(&file[..cut], 320, 180).is_err(), "cut at {cut}");
        }
    }
}
