//! The commands of the pages that need no cluster: they run, and what is shown below is what they print.
//!
//! A block without a language that comes right after commands shows their output; `…` alone on a line stands for
//! lines left out. Pictures that a command draws below docs/pictures are those that are there. Each page is
//! followed in a folder of its own, from top to bottom, as by a reader in the repository.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::page::{Block, Page, pages};
use super::root;

const SPILLWAY: &str = env!("CARGO_BIN_EXE_spillway");
/// Beginnings of the lines that are run here, where nothing in them needs a cluster. All else is tested elsewhere.
const RUN: [&str; 8] = [
    "sed ",
    "spillway simulate ",
    "spillway check deploy/",
    "spillway check docs/",
    "spillway crd",
    "cat docs/pictures/",
    "printf ",
    "source <(spillway completion ",
];
const ELSEWHERE: [&str; 3] = ["kubectl", "helm", "docker"];
const PICTURES: &str = "docs/pictures";
/// Weeks of traffic, generated together with what they gave: the tests of `tests/decisions` run its commands.
const BENCHMARK: &str = "docs/benchmark.md";

fn regenerating() -> bool {
    std::env::var("SPILLWAY_REGENERATE").is_ok_and(|v| v == "1")
}

#[test]
fn what_is_shown_is_what_the_commands_print() {
    let pages = pages();
    let followed: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = pages
            .iter()
            .filter(|page| page.path != BENCHMARK)
            .map(|page| scope.spawn(|| follow(page)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
    });
    let ran: usize = followed.iter().map(|(ran, _)| ran).sum();
    let wrong: Vec<String> = followed.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(ran >= 15, "only {ran} blocks of commands were run");
    assert!(wrong.is_empty(), "`make generate` takes over most of this:\n{}", wrong.join("\n\n"));
}

/// Runs the commands of a page: how many blocks of them there are, and what is not as it is shown.
fn follow(page: &Page) -> (usize, Vec<String>) {
    let (mut ran, mut wrong) = (0, Vec::new());
    let folder = Folder::new(&page.path);
    let mut new: Vec<(Range<usize>, String)> = Vec::new();
    for (i, block) in page.blocks.iter().enumerate().filter(|(_, block)| block.info == "sh") {
        let script = script(block);
        if script.is_empty() {
            continue;
        }
        ran += 1;
        let place = format!("{}:{}", page.path, block.line);
        let printed = folder.run(&place, &script);
        let Some(shown) = page.blocks.get(i + 1).filter(|next| next.follows && next.info.is_empty()) else {
            continue;
        };
        let left_out = !shown.text.is_empty() && lines(&shown.text).iter().all(|line| *line == LEFT_OUT);
        assert!(!left_out, "{place}: nothing of what is printed is shown");
        if let Err(why) = is_shown(&shown.text, &printed) {
            match (regenerating(), anew(&shown.text, &printed)) {
                (true, Some(text)) => new.push((inner(page, shown), text)),
                _ => wrong.push(format!("{place}: {script}{why}")),
            }
        }
    }
    wrong.extend(folder.pictures(&page.path));
    write(page, new);
    (ran, wrong)
}

/// The lines of a block that are run, with what they are continued by.
fn script(block: &Block) -> String {
    commands(block).into_iter().filter(|whole| is_run(whole)).collect()
}

/// Those of a block of that page that are not.
pub fn others(page: &Page, block: &Block) -> Vec<String> {
    let run = |whole: &str| page.path != BENCHMARK && is_run(whole);
    commands(block).into_iter().filter(|whole| !whole.trim().is_empty() && !run(whole)).collect()
}

fn is_run(whole: &str) -> bool {
    RUN.iter().any(|run| whole.starts_with(run)) && !ELSEWHERE.iter().any(|other| whole.contains(other))
}

/// The lines of a block, each with what it is continued by.
fn commands(block: &Block) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = block.text.lines();
    while let Some(line) = lines.next() {
        let mut whole = format!("{line}\n");
        while whole.trim_end().ends_with('\\') {
            whole += lines.next().unwrap_or_default();
            whole.push('\n');
        }
        commands.push(whole);
    }
    commands
}

/// Where a page's commands run.
struct Folder(PathBuf);

impl Folder {
    fn new(page: &str) -> Self {
        let name = page.replace(['/', '.'], "-");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(PICTURES)).expect("a folder");
        fs::create_dir_all(folder.join("bin")).expect("a folder");
        symlink(root().join("deploy"), folder.join("deploy")).expect("a link");
        symlink(SPILLWAY, folder.join("bin/spillway")).expect("a link");
        for (name, path) in pictures_of(root()).into_iter().filter(|(name, _)| !name.ends_with(".svg")) {
            fs::copy(path, folder.join(PICTURES).join(name)).expect("a copy");
        }
        Self(folder)
    }

    /// What a script prints. Fails when it does.
    fn run(&self, place: &str, script: &str) -> String {
        let mut path = self.0.join("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&self.0)
            .env_clear()
            .env("PATH", path)
            .output()
            .expect("bash");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // What is told beside it (a long run's progress, on a busy machine) is not compared.
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {script}{}: {printed}{told}", output.status);
        printed
    }

    /// What is wrong with the pictures that were drawn here; writes them when regenerating.
    fn pictures(&self, page: &str) -> Vec<String> {
        let drawn = pictures_of(&self.0).into_iter().filter(|(name, _)| name.ends_with(".svg"));
        let mut wrong = Vec::new();
        for (name, path) in drawn {
            let there = root().join(PICTURES).join(&name);
            let svg = fs::read(&path).expect("a picture");
            if regenerating() {
                fs::write(&there, svg).expect("a picture");
            } else if fs::read(&there).ok() != Some(svg) {
                wrong.push(format!("{page}: {PICTURES}/{name} is not what its command draws"));
            }
        }
        wrong
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pictures_of(root: &Path) -> Vec<(String, PathBuf)> {
    let folder = root.join(PICTURES);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|p| (p.file_name().unwrap_or_default().to_string_lossy().into_owned(), p)).collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

const LEFT_OUT: &str = "…";

/// Whether a block shows what was printed.
fn is_shown(shown: &str, printed: &str) -> Result<(), String> {
    let (shown, printed) = (lines(shown), lines(printed));
    let parts: Vec<&[&str]> = shown.split(|line| *line == LEFT_OUT).collect();
    let mut at = 0;
    for (i, part) in parts.iter().enumerate() {
        let found = match (i, i + 1 == parts.len()) {
            (0, true) => (printed == *part).then_some(0),
            (0, false) => printed.starts_with(part).then_some(0),
            // What is shown last is what is printed last, where nothing is left out after it.
            (_, true) => printed[at..].ends_with(part).then(|| printed.len() - part.len()),
            _ => (at..=printed.len().saturating_sub(part.len()))
                .find(|from| printed[*from..].starts_with(part)),
        };
        at = part.len()
            + found.ok_or_else(|| {
                format!("this is shown:\n{}\nand this was printed:\n{}", part.join("\n"), printed.join("\n"))
            })?;
    }
    Ok(())
}

/// The block as it is to be: as many lines at the beginning and at the end. `None`: where it leaves out several
/// parts, a person is to choose.
fn anew(shown: &str, printed: &str) -> Option<String> {
    let (shown, printed) = (lines(shown), lines(printed));
    let parts: Vec<&[&str]> = shown.split(|line| *line == LEFT_OUT).collect();
    let all = || printed.iter().map(|line| format!("{line}\n")).collect();
    match parts[..] {
        [_] => Some(all()),
        [head, tail] if head.len() + tail.len() >= printed.len() => Some(all()),
        [head, tail] => {
            let (head, tail) = (&printed[..head.len()], &printed[printed.len() - tail.len()..]);
            Some(format!("{}\n{LEFT_OUT}\n{}\n", head.join("\n"), tail.join("\n")))
        }
        _ => None,
    }
}

/// Where the text of a block is in its page, between the fences.
fn inner(page: &Page, block: &Block) -> Range<usize> {
    let whole = &page.text[block.range.clone()];
    let begin = whole.find('\n').map_or(0, |at| at + 1);
    let end = whole.trim_end().rfind('\n').map_or(begin, |at| at + 1);
    block.range.start + begin..block.range.start + end
}

fn write(page: &Page, new: Vec<(Range<usize>, String)>) {
    if new.is_empty() {
        return;
    }
    let mut text = page.text.clone();
    for (range, with) in new.into_iter().rev() {
        text.replace_range(range, &with);
    }
    fs::write(root().join(&page.path), text).expect("a page");
}

#[test]
fn every_picture_is_drawn_by_a_command_and_shown() {
    let pages = pages();
    for (name, _) in pictures_of(root()).into_iter().filter(|(name, _)| name.ends_with(".svg")) {
        let drawn = format!("--plot {PICTURES}/{name}");
        let shown = format!("pictures/{name}");
        let by = pages.iter().find(|page| page.blocks.iter().any(|block| script(block).contains(&drawn)));
        let by = by.unwrap_or_else(|| panic!("no page has a command that draws {name}"));
        assert!(by.links.iter().any(|(_, link)| *link == shown), "{}: {name} is not shown", by.path);
    }
}

/// The arguments of every `spillway` command are such that the program takes, wherever it is run.
#[test]
fn every_command_has_arguments_that_there_are() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.info == "sh") {
            let whole = block.text.replace("\\\n", " ");
            let commands = whole.lines().flat_map(|line| line.split(" | ")).map(str::trim);
            for command in commands.filter_map(|c| c.strip_prefix("spillway ")) {
                seen += 1;
                let words = command.split_whitespace().map(|w| w.trim_matches(['\'', '"']));
                let words = words.take_while(|w| !w.starts_with(['#', '>', '<', '&', ';']));
                // With --help it reads them, and does nothing.
                let output = Command::new(SPILLWAY).args(words).arg("--help").output().expect("spillway");
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    wrong.push(format!("{}:{}: spillway {command}: {said}", page.path, block.line));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 10, "only {seen} commands were found");
}

#[test]
fn output_is_shown_whole_or_with_lines_left_out() {
    let printed = "a\nb\nc\nd\n";
    for shown in ["a\nb\nc\nd\n", "a\n…\nd\n", "…\nb\n…\n", "a\n…\nc\n…\nd\n", "a\n…\n"] {
        is_shown(shown, printed).unwrap_or_else(|why| panic!("{shown:?}: {why}"));
    }
    for shown in ["a\nb\nc\n", "b\n…\nd\n", "…\nc\n…\nb\n…\n", "a\n…\nc\n", "a\n…\na\nb\nc\nd\n", "x\n"]
    {
        assert!(is_shown(shown, printed).is_err(), "{shown:?}");
    }
    assert_eq!(anew("x\n", printed).as_deref(), Some(printed));
    assert_eq!(anew("x\n…\ny\nz\n", printed).as_deref(), Some("a\n…\nc\nd\n"));
    assert_eq!(anew("…\nx\n…\n", printed), None);
}
