#![no_main]
spillway_fuzz::target!("scaler");
