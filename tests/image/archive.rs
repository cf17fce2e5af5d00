//! An image in the format of `docker save`, unpacked.
//!
//! It reads; what is right is for the tests to say.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub struct Image {
    /// That of the archive: `spillway-amd64`.
    pub name: String,
    pub config: Value,
    /// Where its files are.
    pub root: PathBuf,
    layers: Vec<PathBuf>,
}

pub struct File {
    pub path: String,
    pub mode: u32,
    pub size: u64,
}

impl Image {
    /// Unpacks it, for one test.
    pub fn open(archive: &Path, test: &str) -> Self {
        let name = archive.file_stem().expect("a name").to_string_lossy().into_owned();
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{name}-{test}"));
        let _ = fs::remove_dir_all(&dir);
        let (parts, root) = (dir.join("parts"), dir.join("root"));
        fs::create_dir_all(&root).expect("a folder");
        unpack(archive, &parts);
        let json = |name: &str| -> Value {
            let path = parts.join(name);
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let manifest = json("manifest.json");
        let text = |value: &Value| value.as_str().expect("a path").to_owned();
        let listed = manifest[0]["Layers"].as_array().expect("layers");
        let layers: Vec<PathBuf> = listed.iter().map(|layer| parts.join(text(layer))).collect();
        for layer in &layers {
            unpack(layer, &root);
        }
        Self { name, config: json(&text(&manifest[0]["Config"])), root, layers }
    }

    /// As Docker names it: `amd64`.
    pub fn arch(&self) -> &str {
        self.name.rsplit_once('-').map_or("", |(_, arch)| arch)
    }

    /// Every file of it, in order; all belong to root.
    pub fn files(&self) -> Vec<File> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let meta = fs::symlink_metadata(&path).expect("a file");
                assert_eq!((meta.uid(), meta.gid()), (0, 0), "the owner of {}", path.display());
                if meta.is_dir() {
                    folders.push(path);
                    continue;
                }
                let inside = path.strip_prefix(&self.root).expect("inside").to_string_lossy().into_owned();
                found.push(File { path: inside, mode: meta.permissions().mode() & 0o7777, size: meta.len() });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// What is transferred: the layers, compressed.
    pub fn packed(&self) -> u64 {
        let gzip = |layer: &PathBuf| {
            let file = fs::File::open(layer).expect("a layer");
            let output =
                Command::new("gzip").arg("-nc").stdin(file).stderr(Stdio::null()).output().expect("gzip");
            output.stdout.len() as u64
        };
        self.layers.iter().map(gzip).sum()
    }
}

fn unpack(archive: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    let output = Command::new("tar").arg("-xpf").arg(archive).arg("-C").arg(to).output().expect("tar");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "unpacking {}: {said}: `make image` builds it", archive.display());
}
