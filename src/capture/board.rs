//! What is known of a capture device beyond what it says itself.

use std::fmt;
use std::sync::Arc;

use crate::model::PixelFormat;

/// What the machine's hardware profile knows of the device of one input. Asked anew for each device that is plugged in, since
/// another one may have its name.
pub trait Board: fmt::Debug + Send + Sync {
    /// The device was found, at the start or when it was plugged in again: what it has to be told is told now. It may take as
    /// long as a driver does.
    fn plugged(&self);

    /// The pixel format to ask for, whatever else it offers.
    fn format(&self) -> Option<PixelFormat>;
}

/// Of a device that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown;

impl Board for Unknown {
    fn plugged(&self) {}

    fn format(&self) -> Option<PixelFormat> {
        None
    }
}

impl Unknown {
    /// To be shared.
    pub fn shared() -> Arc<dyn Board> {
        Arc::new(Self)
    }
}
