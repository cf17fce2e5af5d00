//! Every link of a page leads to a file, and where it names a heading, to that.
//!
//! Addresses of the web are not asked for.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::page::{Page, pages};
use super::root;

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let by_path: HashMap<&str, &Page> = pages.iter().map(|page| (page.path.as_str(), page)).collect();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in &pages {
        for (line, link) in page.links.iter().filter(|(_, link)| !elsewhere(link)) {
            seen += 1;
            if let Err(why) = leads(page, link, &by_path) {
                wrong.push(format!("{}:{line}: {link}: {why}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 50, "only {seen} links were found");
}

fn elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

fn leads(page: &Page, link: &str, by_path: &HashMap<&str, &Page>) -> Result<(), String> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
    let path = if file.is_empty() { PathBuf::from(&page.path) } else { plain(&folder.join(file))? };
    if !root().join(&path).exists() {
        return Err(format!("there is no {}", path.display()));
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let to = by_path.get(path.to_string_lossy().as_ref()).ok_or("an anchor in something that is no page")?;
    if to.anchors.iter().any(|a| a == anchor) {
        return Ok(());
    }
    Err(format!("no such heading; there are {}", to.anchors.join(", ")))
}

/// A path without `..`.
fn plain(path: &Path) -> Result<PathBuf, String> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if !out.pop() => return Err("it leads out of the repository".to_owned()),
            Component::ParentDir | Component::CurDir => {}
            part => out.push(part),
        }
    }
    Ok(out)
}

#[test]
fn the_readme_leads_to_every_document() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.path == "README.md").expect("README.md");
    let linked: Vec<&str> =
        readme.links.iter().map(|(_, link)| link.split('#').next().unwrap_or_default()).collect();
    let missing: Vec<&str> = pages
        .iter()
        .map(|page| page.path.as_str())
        .filter(|path| Path::new(path).parent() == Some(Path::new("docs")) && !linked.contains(path))
        .collect();
    assert!(missing.is_empty(), "not linked from README.md: {missing:?}");
}

#[test]
fn a_document_that_is_only_named_is_there_too() {
    let named = regex::Regex::new(r"\bdocs/[A-Za-z0-9_/-]+\.(?:md|svg)").expect("a pattern");
    for page in pages().iter().filter(|page| page.path != "CHANGELOG.md") {
        for found in named.find_iter(&page.text) {
            let path = found.as_str();
            assert!(root().join(path).exists(), "{}: there is no {path}", page.path);
        }
    }
}
