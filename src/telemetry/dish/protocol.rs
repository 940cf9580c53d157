//! Pure. The part of the dish's protocol that is used: `SpaceX.API.Device.Device/Handle`, with the field numbers that a dish
//! itself gives out by reflection. Everything else in its answers is skipped.

use crate::events::{DishFigures, OutageSnapshot};

/// The one method there is.
pub(super) const PATH: &str = "/SpaceX.API.Device.Device/Handle";

/// `Request`, one of many kinds.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Request {
    #[prost(message, optional, tag = "1004")]
    pub(super) get_status: Option<GetStatus>,
}

/// `GetStatusRequest`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct GetStatus {}

/// `Response`; without a status it is from something else than a dish, such as a router.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "2004")]
    pub(super) status: Option<Status>,
}

/// `DishGetStatusResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(float, tag = "1002")]
    pub(super) seconds_to_first_nonempty_slot: f32,
    #[prost(float, tag = "1003")]
    pub(super) pop_ping_drop_rate: f32,
    #[prost(message, optional, tag = "1004")]
    pub(super) obstruction: Option<Obstruction>,
    #[prost(message, optional, tag = "1005")]
    pub(super) alerts: Option<Alerts>,
    #[prost(float, tag = "1007")]
    pub(super) downlink_throughput_bps: f32,
    #[prost(float, tag = "1008")]
    pub(super) uplink_throughput_bps: f32,
    #[prost(float, tag = "1009")]
    pub(super) pop_ping_latency_ms: f32,
    /// There while one goes on.
    #[prost(message, optional, tag = "1014")]
    pub(super) outage: Option<Outage>,
    #[prost(int32, tag = "1016")]
    pub(super) eth_speed_mbps: i32,
}

/// `DishObstructionStats`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Obstruction {
    #[prost(float, tag = "1")]
    pub(super) fraction_obstructed: f32,
    #[prost(bool, tag = "5")]
    pub(super) currently_obstructed: bool,
}

/// `DishOutage`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Outage {
    /// `DishOutage.Cause`.
    #[prost(int32, tag = "1")]
    pub(super) cause: i32,
    #[prost(uint64, tag = "3")]
    pub(super) duration_ns: u64,
}

/// `DishAlerts`, those that concern an operator.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Alerts {
    #[prost(bool, tag = "1")]
    pub(super) motors_stuck: bool,
    #[prost(bool, tag = "2")]
    pub(super) thermal_shutdown: bool,
    #[prost(bool, tag = "3")]
    pub(super) thermal_throttle: bool,
    #[prost(bool, tag = "4")]
    pub(super) unexpected_location: bool,
    #[prost(bool, tag = "5")]
    pub(super) mast_not_near_vertical: bool,
    #[prost(bool, tag = "6")]
    pub(super) slow_ethernet_speeds: bool,
    #[prost(bool, tag = "10")]
    pub(super) power_supply_thermal_throttle: bool,
    #[prost(bool, tag = "17")]
    pub(super) lower_signal_than_predicted: bool,
    #[prost(bool, tag = "20")]
    pub(super) dish_water_detected: bool,
    #[prost(bool, tag = "23")]
    pub(super) no_ethernet_link: bool,
}

impl Alerts {
    fn in_words(self) -> Vec<String> {
        let all = [
            (self.motors_stuck, "its motors are stuck"),
            (self.thermal_shutdown, "it is too hot and has shut down"),
            (self.thermal_throttle, "it is hot and slower for it"),
            (self.unexpected_location, "it is not where its contract says"),
            (self.mast_not_near_vertical, "its mast is not upright"),
            (self.slow_ethernet_speeds, "its cable is slow"),
            (self.power_supply_thermal_throttle, "its power supply is too hot"),
            (self.lower_signal_than_predicted, "its signal is weaker than it should be"),
            (self.dish_water_detected, "there is water in it"),
            (self.no_ethernet_link, "its cable is out"),
        ];
        all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, words)| words.to_owned()).collect()
    }
}

/// Why there is an outage, in words.
fn cause(cause: i32) -> String {
    let words = match cause {
        0 => "it does not say why",
        1 => "it is starting",
        2 => "it is stowed",
        3 => "it is too hot",
        4 => "no satellite is planned for it",
        5 => "it sees no satellite",
        6 => "something stands before its satellite",
        7 => "it receives nothing",
        8 => "its pings are not answered",
        9 => "it is moving",
        10 => "it is testing its cable",
        11 => "it sleeps",
        12 => "it moves, which its contract does not allow",
        13 => "it searches the sky",
        14 => "it may not send",
        other => return format!("cause {other}"),
    };
    words.to_owned()
}

/// As people see it. Figures that make no sense are left out: a dish's firmware changes without notice.
pub(super) fn figures(status: &Status) -> DishFigures {
    let obstruction = status.obstruction.unwrap_or_default();
    let outage = status
        .outage
        .map(|outage| OutageSnapshot { cause: cause(outage.cause), for_ms: outage.duration_ns / 1_000_000 });
    DishFigures {
        obstructed_now: obstruction.currently_obstructed,
        obstructed_fraction: within(obstruction.fraction_obstructed, 1.0),
        outage,
        // Without a single ping answered it is 0.
        latency_ms: Some(within(status.pop_ping_latency_ms, 60_000.0)).filter(|ms| *ms > 0.0),
        drop_fraction: within(status.pop_ping_drop_rate, 1.0),
        first_slot_s: within(status.seconds_to_first_nonempty_slot, 86_400.0),
        down_bps: whole(status.downlink_throughput_bps),
        up_bps: whole(status.uplink_throughput_bps),
        ethernet_mbit: u32::try_from(status.eth_speed_mbps).ok().filter(|mbit| *mbit > 0),
        alerts: status.alerts.unwrap_or_default().in_words(),
    }
}

/// To three decimals; 0 for what is not a number from 0 to `most`.
fn within(figure: f32, most: f64) -> f64 {
    let figure = f64::from(figure);
    if (0.0..=most).contains(&figure) { (figure * 1000.0).round() / 1000.0 } else { 0.0 }
}

/// A cast saturates, and makes 0 of what is negative or not a number.
fn whole(figure: f32) -> u64 {
    figure as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prost::Message;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        // Field 1004, wire type 2 (bytes), empty: (1004 << 3 | 2) as a varint.
        assert_eq!(Request { get_status: Some(GetStatus {}) }.encode_to_vec(), [0xe2, 0x3e, 0x00]);
        // Response { id: 1, 2004: { 1004: { 1: 0.25, 5: true }, 1014: { 1: 6, 3: 4 s, 4: true }, 9999: 1 } }
        let bytes = [
            0x08, 0x01, 0xa2, 0x7d, 0x1b, 0xe2, 0x3e, 0x07, 0x0d, 0, 0, 0x80, 0x3e, 0x28, 0x01, 0xb2, 0x3f, 0x0a, 0x08,
            0x06, 0x18, 0x80, 0xd0, 0xac, 0xf3, 0x0e, 0x20, 0x01, 0xf8, 0xf0, 0x04, 0x01,
        ];
        let status = Response::decode(bytes.as_slice()).unwrap().status.unwrap();
        let shown = figures(&status);
        assert!(shown.obstructed_now);
        assert_eq!(shown.obstructed_fraction, 0.25);
        let wanted = OutageSnapshot { cause: "something stands before its satellite".to_owned(), for_ms: 4000 };
        assert_eq!(shown.outage, Some(wanted));
    }

    #[test]
    fn figures_that_make_no_sense_are_left_out() {
        let status = Status {
            seconds_to_first_nonempty_slot: f32::NAN,
            pop_ping_drop_rate: f32::INFINITY,
            obstruction: Some(Obstruction { fraction_obstructed: -1.0, currently_obstructed: false }),
            downlink_throughput_bps: f32::NAN,
            uplink_throughput_bps: f32::INFINITY,
            pop_ping_latency_ms: -3.0,
            outage: Some(Outage { cause: -7, duration_ns: u64::MAX }),
            eth_speed_mbps: -1,
            ..Status::default()
        };
        let shown = figures(&status);
        let (cause, for_ms) = ("cause -7".to_owned(), u64::MAX / 1_000_000);
        let wanted =
            DishFigures { up_bps: u64::MAX, outage: Some(OutageSnapshot { cause, for_ms }), ..DishFigures::default() };
        assert_eq!(shown, wanted);
        let text = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<DishFigures>(&text).unwrap(), shown);
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let length = rng.usize(..64);
            let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            if let Ok(Response { status: Some(status) }) = Response::decode(bytes.as_slice()) {
                figures(&status);
            }
        }
    }
}
