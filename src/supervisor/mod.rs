//! Keeps the processes alive: starts them, watches them, replaces them, and tells people.
//!
//! ```text
//!   config_files ──► daemon ──► children ──► lifecycle (pure, one a child) ──► spawn: process | systemd
//!                     │  ▲          ▲
//!        event_log ◄──┤  └─ control └─ links ◄── child_link, in the children
//!        webhook   ◄──┤     (operators)
//!        telemetry ──►┘     (hints for the data plane, by way of its link)
//! ```
//!
//! *Invariant:* nothing that happens in this room touches the picture. The data plane needs it to be started again, never
//! to go on.

pub mod alerts;
pub mod child_link;
pub mod children;
pub mod config_files;
pub mod control;
pub mod daemon;
pub mod event_log;
pub mod hardware;
pub mod lifecycle;
pub mod links;
pub mod load;
pub mod lock;
pub mod process;
pub mod service;
pub mod slate_jobs;
pub mod spawn;
pub mod systemd;
pub mod webhook;
pub mod wish;
