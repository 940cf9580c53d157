//! Payloads that say who they are: `numbered.h`, which describes them, in Rust.

use bytes::{Bytes, BytesMut};

/// Bytes of a payload: seven packets of an MPEG transport stream.
pub const PAYLOAD: usize = 1316;
const HEAD: usize = 28;
const MAGIC: u32 = 0x4846_5450;

/// CRC-32 (ISO-HDLC), eight bytes a step, since the check must not outweigh the transport whose CPU time is measured.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (if crc & 1 == 1 { 0xEDB8_8320 } else { 0 });
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut ahead = 1;
    while ahead < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[ahead - 1][byte];
            tables[ahead][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        ahead += 1;
    }
    tables
}

fn add(mut crc: u32, data: &[u8]) -> u32 {
    let (steps, rest) = data.as_chunks::<8>();
    for step in steps {
        let low = (crc ^ u32::from_le_bytes([step[0], step[1], step[2], step[3]])).to_le_bytes();
        let at = |table: usize, byte: u8| TABLES[table][usize::from(byte)];
        crc = at(7, low[0])
            ^ at(6, low[1])
            ^ at(5, low[2])
            ^ at(4, low[3])
            ^ at(3, step[4])
            ^ at(2, step[5])
            ^ at(1, step[6])
            ^ at(0, step[7]);
    }
    rest.iter().fold(crc, |crc, byte| (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)])
}

fn crc(payload: &[u8]) -> u32 {
    !add(add(!0, &payload[..24]), &payload[HEAD..])
}

/// Payload `number` of `stream`, handed over at `now_us` of CLOCK_MONOTONIC.
pub fn write(stream: u32, number: u64, now_us: u64) -> Bytes {
    let filler = number.wrapping_mul(31).wrapping_add(stream.into()) as u8;
    let mut payload = BytesMut::with_capacity(PAYLOAD);
    payload.extend_from_slice(&MAGIC.to_be_bytes());
    payload.extend_from_slice(&stream.to_be_bytes());
    payload.extend_from_slice(&number.to_be_bytes());
    payload.extend_from_slice(&now_us.to_be_bytes());
    payload.extend_from_slice(&[0; 4]);
    payload.resize(PAYLOAD, filler);
    let crc = crc(&payload);
    payload[24..HEAD].copy_from_slice(&crc.to_be_bytes());
    payload.freeze()
}

/// Its number and when it was handed over, if it is intact.
pub fn read(payload: &[u8]) -> Option<(u64, u64)> {
    let whole = payload.len() == PAYLOAD && payload[..4] == MAGIC.to_be_bytes();
    let word = |at: usize| payload[at..at + 8].try_into().map(u64::from_be_bytes).unwrap_or_default();
    (whole && payload[24..HEAD] == crc(payload).to_be_bytes()).then(|| (word(8), word(16)))
}

/// What came of a stream of them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    stream: Option<[u8; 4]>,
    seen: Vec<u64>,
    pub unique: u64,
    pub duplicates: u64,
    pub out_of_order: u64,
    pub corrupt: u64,
    pub first: Option<u64>,
    pub highest: u64,
    begin_us: u64,
    last_us: u64,
    pub longest_gap_us: u64,
    pub longest_gap_end_us: u64,
    delays: Vec<u32>,
}

/// Delays kept.
const MOST_DELAYS: usize = 1 << 20;

impl Tally {
    /// A payload has come at `now_us`.
    pub fn count(&mut self, payload: &[u8], now_us: u64) {
        // One stream only: what belongs to another has come from somebody else.
        let stream = payload.get(4..).and_then(<[u8]>::first_chunk).copied();
        let intact = read(payload).filter(|(number, _)| *number <= u64::from(u32::MAX));
        let Some((number, sent_us)) = intact.filter(|_| self.stream.is_none() || self.stream == stream) else {
            self.corrupt += 1;
            return;
        };
        if self.stream.is_none() {
            self.stream = stream;
        }
        if self.first.is_none() {
            (self.first, self.begin_us, self.last_us) = (Some(number), now_us, now_us);
        }
        if now_us - self.last_us > self.longest_gap_us {
            (self.longest_gap_us, self.longest_gap_end_us) = (now_us - self.last_us, now_us);
        }
        self.last_us = now_us;
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word * 2 + 512, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        if is_new {
            self.unique += 1;
        } else {
            self.duplicates += 1;
        }
        self.out_of_order += u64::from(number < self.highest);
        self.highest = self.highest.max(number);
        if self.delays.len() < MOST_DELAYS {
            self.delays.push(u32::try_from(now_us.saturating_sub(sent_us)).unwrap_or(u32::MAX));
        }
    }

    /// A payload of unknown content has come.
    pub fn count_unseen(&mut self) {
        self.highest = self.unique;
        self.unique += 1;
    }

    /// Up to the highest number that came.
    pub fn missing(&self) -> u64 {
        if self.unique == 0 { 0 } else { self.highest + 1 - self.unique }
    }

    /// Between the first and the last payload.
    pub fn seconds(&self) -> f64 {
        (self.last_us - self.begin_us) as f64 / 1e6
    }

    /// Least, median, 99 %, most: µs from being handed over here to being handed over there.
    pub fn delay_us(&self) -> Option<[u32; 4]> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let last = delays.len().checked_sub(1)?;
        Some([delays[0], delays[delays.len() / 2], delays[last - delays.len() / 100], delays[last]])
    }
}
