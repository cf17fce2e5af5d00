//! What the documents say holds: links lead somewhere, resources are valid, commands run and print what is shown.
//!
//! Commands that need a cluster are followed by the end-to-end suite; of these only the arguments are looked at
//! here. `make generate` runs `current` with `SPILLWAY_REGENERATE=1`, which draws the pictures anew and takes
//! over what commands print.
#![allow(missing_docs)]

mod current;
mod links;
mod page;
mod resources;
mod runners;

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
