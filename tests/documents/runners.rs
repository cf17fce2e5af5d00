//! Every command of the pages has a test that runs it, or a reason why none does.
//!
//! It runs nothing: `current` runs what needs no cluster, the end-to-end suite follows whole pages.

use super::page::{Block, Page, pages};
use super::{current, root};

/// Whole pages, or their blocks of one kind, and the test that takes the commands out of them.
const FOLLOWED: [(&str, &str, &str); 9] = [
    ("docs/quick-start.md", "sh", "tests/e2e/quick_start.rs"),
    ("docs/coming-from-keda.md", "sh", "tests/e2e/checked.rs"),
    ("docs/operations.md", "sh", "tests/e2e/alerts.rs"),
    ("docs/operations.md", "sh release", "tests/e2e/chart.rs"),
    ("docs/troubleshooting.md", "sh", "tests/e2e/alerts.rs"),
    ("docs/scaling-out.md", "sh", "tests/e2e/sharding.rs"),
    ("charts/spillway/README.md", "sh", "tests/e2e/readme.rs"),
    ("docs/runbooks/", "sh", "tests/e2e/runbooks.rs"),
    ("docs/kafka-permissions.md", "sh", "tests/security/rights.rs"),
];

/// Beginnings of commands that no test takes out of their page, and why.
const LEFT: &[(&str, &str, &str)] = &[
    (
        "CONTRIBUTING.md",
        "make ",
        "targets of the Makefile: what they run is what this is part of, or takes hours",
    ),
    ("README.md", "make demo", "the end-to-end suite has the demo's scenes; this is to be looked at"),
    ("README.md", "make test", "this is part of it"),
    ("README.md", "docker ", "there is no container engine: tests/image builds the same by its own way"),
    ("README.md", "helm install", "needs that image: tests/e2e/quick_start.rs installs it so"),
    ("README.md", "kubectl -n spillway-system rollout", "the same in docs/quick-start.md, which is followed"),
    ("README.md", "sed 's#spillway.dev", "tests/e2e/kubectl.rs applies the file so, in a dry run"),
    ("README.md", "cargo build", "it has been built"),
    ("README.md", "spillway explain", "tests/e2e/explained.rs"),
    ("README.md", "spillway check --brokers", "tests/e2e/explained.rs, with resources that are there"),
    ("README.md", "spillway migrate", "tests/cli.rs, with resources that are there"),
    (
        "docs/benchmark.md",
        "spillway simulate --policy tests/decisions/policy.yaml ",
        "each is a subject's, and some are run: tests/decisions/src/cases/shell.rs",
    ),
    ("docs/benchmark.md", "sed 's/", "the same of a policy that differs"),
    ("docs/objectives.md", "curl ", "asks a Prometheus with a week of the reader's traffic"),
    ("docs/simulator.md", "make ", "targets of the Makefile: tests/decisions tests what they replay"),
];

fn is_typed(block: &Block) -> bool {
    let language = block.info.split_whitespace().next().unwrap_or_default();
    ["sh", "bash", "shell", "console"].contains(&language)
}

fn follower<'a>(page: &Page, block: &Block) -> Option<&'a str> {
    let of = |(path, info, _): &&(&str, &str, &str)| {
        (page.path == *path || path.ends_with('/') && page.path.starts_with(path)) && block.info == *info
    };
    FOLLOWED.iter().find(of).map(|(_, _, test)| *test)
}

#[test]
fn every_command_is_run_by_a_test_or_listed_with_why_not() {
    let pages = pages();
    let (mut nobodys, mut used, mut seen) = (Vec::new(), vec![false; LEFT.len()], 0);
    for page in &pages {
        for block in page.blocks.iter().filter(|block| is_typed(block)) {
            seen += 1;
            if follower(page, block).is_some() {
                continue;
            }
            for command in current::others(page, block) {
                let of =
                    |(path, begin, _): &(&str, &str, &str)| page.path == *path && command.starts_with(begin);
                match LEFT.iter().position(of) {
                    Some(i) => used[i] = true,
                    None => nobodys.push(format!("{}:{}: {command}", page.path, block.line)),
                }
            }
        }
    }
    assert!(nobodys.is_empty(), "no test runs these, and {} says not why:\n{}", file!(), nobodys.concat());
    let stale: Vec<_> = LEFT.iter().zip(used).filter(|(_, used)| !used).map(|(left, _)| left).collect();
    assert!(stale.is_empty(), "listed, and in no page or run by a test: {stale:?}");
    assert!(seen > 80, "only {seen} blocks were found");
}

#[test]
fn what_follows_a_page_names_it() {
    let pages = pages();
    for (path, info, test) in FOLLOWED {
        let text = std::fs::read_to_string(root().join(test)).unwrap_or_else(|e| panic!("{test}: {e}"));
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        assert!(code.contains(path), "{test} does not read {path}");
        let found =
            pages.iter().any(|page| page.blocks.iter().any(|block| follower(page, block) == Some(test)));
        assert!(found, "{path} has no block {info:?} for {test}");
    }
}
