//! A Markdown page taken apart: its code blocks, links and headings.
//!
//! It judges nothing.

use std::fs;
use std::ops::Range;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::root;

/// Folders that hold pages for people.
const FOLDERS: [&str; 5] = ["", "docs", "charts", "deploy", "tests"];

/// One page.
pub struct Page {
    /// Its path, from the root of the repository.
    pub path: String,
    pub text: String,
    pub blocks: Vec<Block>,
    /// Where links and pictures lead, each with its line.
    pub links: Vec<(usize, String)>,
    /// The anchors of its headings, as GitHub makes them.
    pub anchors: Vec<String>,
}

/// A fenced code block.
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// What the fence says: `sh`, `yaml`, nothing.
    pub info: String,
    /// What is in it.
    pub text: String,
    /// All of it in the page, with its fences.
    pub range: Range<usize>,
    /// Whether nothing but empty lines is between it and the block before.
    pub follows: bool,
}

impl Page {
    fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        Self::of(path, text)
    }

    fn of(path: &str, text: String) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            text: String::new(),
            blocks: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
        };
        let line = |at: usize| 1 + text[..at].matches('\n').count();
        let (mut heading, mut block): (Option<String>, Option<Block>) = (None, None);
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let before = page.blocks.last().map_or(0, |b| b.range.end);
                    let follows = !page.blocks.is_empty() && text[before..range.start].trim().is_empty();
                    let (line, info) = (line(range.start), info.into_string());
                    block = Some(Block { line, info, text: String::new(), range, follows });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let said = heading.take().unwrap_or_default();
                    let anchor = anchor(&said, &page.anchors);
                    page.anchors.push(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line(range.start), dest_url.into_string()));
                }
                Event::Text(said) | Event::Code(said) => {
                    if let Some(block) = &mut block {
                        block.text += &said;
                    }
                    if let Some(heading) = &mut heading {
                        *heading += &said;
                    }
                }
                _ => {}
            }
        }
        page.text = text;
        page
    }
}

/// The anchor of a heading, as GitHub makes it; the same one again gets a number.
fn anchor(heading: &str, there: &[String]) -> String {
    let plain: String = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    let numbered = (1..).map(|n| format!("{plain}-{n}"));
    std::iter::once(plain.clone()).chain(numbered).find(|a| !there.contains(a)).unwrap_or_default()
}

/// Every page of the repository that is for people.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        find(folder, !folder.is_empty(), &mut paths);
    }
    paths.sort();
    let pages: Vec<Page> = paths.iter().map(|path| Page::read(path)).collect();
    assert!(pages.len() > 20, "only {} pages were found: {paths:?}", pages.len());
    pages
}

fn find(folder: &str, deep: bool, into: &mut Vec<String>) {
    let full = root().join(folder);
    for entry in fs::read_dir(&full).unwrap_or_else(|e| panic!("{}: {e}", full.display())) {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.path().is_dir() {
            if deep {
                find(&path, true, into);
            }
        } else if Path::new(&path).extension().is_some_and(|e| e == "md") {
            into.push(path);
        }
    }
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A `b`, c\n\n[x](y.md#z) ![p](q.svg)\n\n```sh\necho `[n](o)`\n```\n\n```\nout\n```\n\n- in a list\n\n  ```yaml\n  a: 1\n  ```\n\n## A b c\n";
    let page = Page::of("a.md", text.to_owned());
    assert_eq!(page.anchors, ["a-b-c", "a-b-c-1"]);
    assert_eq!(page.links, [(3, "y.md#z".to_owned()), (3, "q.svg".to_owned())]);
    let blocks: Vec<_> =
        page.blocks.iter().map(|b| (b.line, b.info.as_str(), b.text.as_str(), b.follows)).collect();
    assert_eq!(
        blocks,
        [(5, "sh", "echo `[n](o)`\n", false), (9, "", "out\n", true), (15, "yaml", "a: 1\n", false)]
    );
}
