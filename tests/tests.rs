//! Black-box tests: the built program, through sockets, signals, files and exit
//! codes only. One binary, so that it is linked once.

// All of this is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod accelerated_files;
mod activation;
mod application;
mod bad_settings;
mod batches;
mod binds;
mod boot;
mod certificates;
mod check;
mod completions;
mod connections;
mod control;
mod daemon;
mod deaths;
mod debug_guard;
mod delays;
mod descriptors;
mod ends;
mod faults;
mod forks;
mod forwarded;
mod frameworks;
mod given_up;
mod handshakes;
mod hangs;
mod https;
mod https_tools;
mod language;
mod layering;
mod limits;
mod listeners;
mod logs;
mod manifests;
mod memory;
mod molds;
mod notify;
mod processes;
mod programs;
mod proxies;
mod proxy_protocol;
mod pythons;
mod recycling;
mod redirects;
mod reloads;
mod requests;
mod responses;
mod rollouts;
mod sessions;
mod settings;
mod signals;
mod stacks;
mod static_files;
mod stops;
mod storms;
mod support;
mod surroundings;
mod threads;
mod trust;
mod turns;
mod upgrades;
mod uploads;
mod vectors;
