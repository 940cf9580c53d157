//! Pixel formats as V4L2 names them, and what GStreamer calls the same.

use std::fmt;

/// What a capture device may be asked to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// Its four characters (V4L2 API, "Image Formats").
    fourcc: &'static str,
    /// GStreamer's caps.
    caps: &'static str,
}

impl PixelFormat {
    /// Those that capture devices have.
    pub const ALL: [Self; 14] = [
        Self { fourcc: "NV12", caps: "video/x-raw,format=NV12" },
        // The same in two planes with memory of their own.
        Self { fourcc: "NM12", caps: "video/x-raw,format=NV12" },
        Self { fourcc: "NV16", caps: "video/x-raw,format=NV16" },
        Self { fourcc: "NV21", caps: "video/x-raw,format=NV21" },
        Self { fourcc: "NV24", caps: "video/x-raw,format=NV24" },
        Self { fourcc: "YU12", caps: "video/x-raw,format=I420" },
        Self { fourcc: "YV12", caps: "video/x-raw,format=YV12" },
        Self { fourcc: "YUYV", caps: "video/x-raw,format=YUY2" },
        Self { fourcc: "UYVY", caps: "video/x-raw,format=UYVY" },
        Self { fourcc: "BGR3", caps: "video/x-raw,format=BGR" },
        Self { fourcc: "RGB3", caps: "video/x-raw,format=RGB" },
        Self { fourcc: "MJPG", caps: "image/jpeg" },
        Self { fourcc: "JPEG", caps: "image/jpeg" },
        Self { fourcc: "H264", caps: "video/x-h264" },
    ];

    /// The one of that name.
    pub fn named(fourcc: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.fourcc == fourcc)
    }

    /// Its four characters.
    pub const fn fourcc(self) -> &'static str {
        self.fourcc
    }

    /// What it is to GStreamer.
    pub const fn caps(self) -> &'static str {
        self.caps
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fourcc)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_has_four_characters_and_a_name_of_its_own() {
        for format in PixelFormat::ALL {
            assert_eq!(format.fourcc().len(), 4);
            assert_eq!(PixelFormat::named(format.fourcc()), Some(format));
        }
        assert_eq!(PixelFormat::named("nv12"), None);
    }
}
