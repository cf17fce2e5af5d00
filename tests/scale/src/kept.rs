//! Figures of sizes measured before, of the very same binary and in the same way: one size at a time makes the
//! same page as all at once.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::measure::{Figures, Settings};

/// Where they are kept.
pub struct Kept(PathBuf);

impl Kept {
    /// Of a binary, below its folder.
    ///
    /// # Errors
    /// When there is no such binary, or its folder cannot be written to.
    pub fn of(binary: &Path, settings: &Settings) -> Result<Self> {
        let bytes =
            fs::read(binary).with_context(|| format!("{}: make bench-scale builds it", binary.display()))?;
        let mut hasher = DefaultHasher::new();
        (bytes, settings.sweep, settings.sweeps, settings.rounds).hash(&mut hasher);
        let dir = binary.parent().unwrap_or(Path::new(".")).join(format!("scale/{:016x}", hasher.finish()));
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(Self(dir))
    }

    /// Keeps those of a size, in place of earlier ones.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, figures: &Figures) -> Result<()> {
        fs::write(self.0.join(format!("{:06}.json", figures.scalers)), serde_json::to_string(figures)?)?;
        Ok(())
    }

    /// All of them, the smallest size first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all(&self) -> Result<Vec<Figures>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            files.push(entry?.path());
        }
        files.sort();
        files.iter().map(|file| Ok(serde_json::from_str(&fs::read_to_string(file)?)?)).collect()
    }
}
