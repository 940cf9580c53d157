//! Any datagram is understood or refused, and what is understood is written so that it reads the same.
#![no_main]

use holdfast::srt::wire::{Control, ControlPacket, Extension, Extensions, MAX_TEXT, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::decode(data) else { return };
    assert_eq!(Packet::peek_dest(data), Some(dest(&packet)));
    let mut again = Vec::new();
    match &packet {
        Packet::Data(data) => data.encode(&mut again),
        Packet::Control(control) => control.encode(&mut again),
    }
    assert_eq!(Packet::decode(&again), Ok(packet));
    let Packet::Control(ControlPacket { control, .. }) = packet else { return };
    match control {
        Control::Nak(list) => {
            let ranges: Vec<_> = list.ranges().collect();
            assert!(ranges.len() * 4 <= data.len());
            let mut body = Vec::new();
            holdfast::srt::wire::LossList::write(&ranges, data.len(), &mut body);
        }
        Control::Handshake(handshake) => {
            let mut blocks = Vec::new();
            let mut read = Vec::new();
            for extension in handshake.extensions.iter().map_while(Result::ok) {
                if let Extension::StreamId(text) | Extension::Congestion(text) | Extension::Filter(text) = extension {
                    assert!(text.read(MAX_TEXT).is_none_or(|text| text.len() <= MAX_TEXT));
                }
                extension.encode(&mut blocks);
                read.push(extension);
            }
            assert!(Extensions::new(&blocks).iter().eq(read.into_iter().map(Ok)));
        }
        _ => {}
    }
});

fn dest(packet: &Packet) -> holdfast::srt::wire::SocketId {
    match packet {
        Packet::Data(data) => data.header.dest,
        Packet::Control(control) => control.dest,
    }
}
