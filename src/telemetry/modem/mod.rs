//! Modems, as ModemManager knows them: `bus` asks it, `facts` understands the answers, `watch` (pure) decides what is worth
//! a hint or an event.

mod bus;
mod facts;
mod watch;

pub(super) use bus::watch;
pub(super) use watch::ModemWatch;

/// Below which a signal is too weak to rely on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalLimits {
    /// Reference signal received power, dBm.
    pub rsrp_dbm: f64,
    /// Signal to noise ratio, dB.
    pub snr_db: f64,
}

/// Of LTE, and of 5G on its own. Android shows no bar at all below these (AOSP's defaults for LTE RSRP and NR SS-RSRP,
/// its carrier configuration's for the ratios); cells hand over or drop somewhat further down.
pub const LIMITS: [SignalLimits; 2] =
    [SignalLimits { rsrp_dbm: -115.0, snr_db: -3.0 }, SignalLimits { rsrp_dbm: -110.0, snr_db: -5.0 }];
/// A weak signal has to be so much better than its limit to count as good again, dB.
pub const BACK_DB: f64 = 3.0;
