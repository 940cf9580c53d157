//! Acknowledgements (draft §3.2.4).

use bytes::BufMut;

use super::number::SeqNo;
use super::{DecodeError, words};

/// "I have everything before `up_to`."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Numbers full acknowledgements from 1, for the ACKACK; 0 in a light one, which is not answered.
    pub number: u32,
    /// The first sequence number that is not acknowledged.
    pub up_to: SeqNo,
    /// What else the receiver knows; None in a light acknowledgement.
    pub report: Option<AckReport>,
}

/// What a small and a full acknowledgement add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckReport {
    /// Smoothed round-trip time, µs.
    pub rtt_us: u32,
    /// Its variance, µs.
    pub rtt_variance_us: u32,
    /// Room in the receiver's buffer, packets.
    pub free_buffer: u32,
    /// Rates; None in a small acknowledgement.
    pub rates: Option<AckRates>,
}

/// What a full acknowledgement adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckRates {
    /// Arrival rate, packets/s.
    pub packets_per_second: u32,
    /// Estimated capacity of the path, packets/s.
    pub capacity: u32,
    /// Arrival rate, bytes/s; None from peers before SRT 1.0.1.
    pub bytes_per_second: Option<u32>,
}

impl Ack {
    pub(super) fn decode(info: u32, body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = words(body);
        let Some(up_to) = fields.next() else { return Err(DecodeError::TooShort { need: 4, have: body.len() }) };
        let report = match (fields.next(), fields.next(), fields.next()) {
            (Some(rtt_us), Some(rtt_variance_us), Some(free_buffer)) => {
                let rates = match (fields.next(), fields.next(), fields.next()) {
                    (Some(packets_per_second), Some(capacity), bytes_per_second) => {
                        Some(AckRates { packets_per_second, capacity, bytes_per_second })
                    }
                    _ => None,
                };
                Some(AckReport { rtt_us, rtt_variance_us, free_buffer, rates })
            }
            _ => None,
        };
        Ok(Self { number: info, up_to: SeqNo::new(up_to), report })
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u32(self.up_to.get());
        let Some(report) = self.report else { return };
        out.put_u32(report.rtt_us);
        out.put_u32(report.rtt_variance_us);
        out.put_u32(report.free_buffer);
        let Some(rates) = report.rates else { return };
        out.put_u32(rates.packets_per_second);
        out.put_u32(rates.capacity);
        if let Some(bytes_per_second) = rates.bytes_per_second {
            out.put_u32(bytes_per_second);
        }
    }
}
