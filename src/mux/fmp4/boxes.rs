//! Writes boxes (ISO/IEC 14496-12 §4.2) into a buffer.

/// Boxes under construction. Only for metadata: media payload never passes through it.
#[derive(Debug, Default)]
pub(super) struct Boxes(Vec<u8>);

impl Boxes {
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A box of `kind` around what `body` writes.
    pub(super) fn nest(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.len();
        self.u32(0);
        self.bytes(kind);
        body(self);
        // Metadata is at most some megabytes: 20 bytes a sample, 24 bytes a fragment.
        let length = (self.len() - start) as u32;
        self.set_u32(start, length);
    }

    /// A box with version and flags.
    pub(super) fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.nest(kind, |b| {
            b.u32(u32::from(version) << 24 | flags & 0x00ff_ffff);
            body(b);
        });
    }

    /// Overwrites four bytes written before.
    pub(super) fn set_u32(&mut self, at: usize, value: u32) {
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }
}
