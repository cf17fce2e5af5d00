#![no_main]
spillway_fuzz::target!("status");
