//! Destinations on real sockets.
