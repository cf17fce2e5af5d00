#![no_main]
spillway_fuzz::target!("secrets");
