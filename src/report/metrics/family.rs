//! What a family of `/metrics` is: its name, what it counts, its labels, and how many series it has.
//!
//! Each family is described once, beside what writes it; docs/metrics.md is made from the same.
//! It writes nothing.

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only goes up, until its series ends.
    Counter,
    /// How many values were at most so large, with their sum and their number.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A family of `/metrics`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// The labels that its series may have.
    pub labels: &'static [&'static str],
    /// What it means, one sentence or more.
    pub help: &'static str,
    /// How many series it has, a formula in the letters that docs/metrics.md explains.
    pub series: &'static str,
}

impl Family {
    /// Its unit, which its name ends with. Nothing for what says yes or no, or is a count of what the name says.
    pub fn unit(&self) -> &'static str {
        const UNITS: [(&str, &str); 10] = [
            ("_messages_per_second", "messages/s"),
            ("_timestamp_seconds", "Unix time, s"),
            ("_start_time_seconds", "Unix time, s"),
            ("_seconds", "s"),
            ("_seconds_total", "s"),
            ("_messages", "messages"),
            ("_lag", "messages"),
            ("_replicas", "replicas"),
            ("_offset", "offset"),
            ("_bytes", "bytes"),
        ];
        UNITS.iter().find(|(end, _)| self.name.ends_with(end)).map_or("", |(_, unit)| unit)
    }
}
