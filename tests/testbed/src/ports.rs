//! Free ports on the loopback.
//!
//! A port is free when asked for; another process may take it before it is used. Whoever starts
//! something on one tries again with another.

use std::net::TcpListener;

use anyhow::Result;

/// Ports that nobody listens on, all different.
///
/// # Errors
/// When the machine has none left.
pub fn free(count: usize) -> Result<Vec<u16>> {
    let listeners =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
    listeners.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}
