//! What is told once, when it happens, and not as the state of a scaler.

use super::words::{count, ordinal, span};
use crate::decide::News;

/// Something that is told once, of a workload by name: one word for it, and a sentence.
pub fn news(name: &str, news: &News) -> (&'static str, String) {
    match news {
        News::Relapsed { to, window } => (
            "Relapsed",
            format!(
                "{name} fell behind soon after a step down to {to}: the next step down waits until it has kept up for {}",
                span(*window)
            ),
        ),
        News::BaseRaised { from, to, relapses } => (
            "BaseRaised",
            format!(
                "{name} fell behind soon after a step down to {from}, the {} time lately: from now on {to} are held while quiet, and fewer again after quiet days",
                ordinal(*relapses)
            ),
        ),
        News::BaseLowered { from, to } => (
            "BaseLowered",
            format!("{name} kept up for a day: {to} instead of {from} are held while quiet from now on"),
        ),
        News::Expired { group, messages } => (
            "MessagesExpired",
            format!(
                "Retention deleted {} of consumer group {group} before {} read: keep messages longer, or let it catch up sooner (objective.recoverWithin)",
                if *messages == 1 {
                    "1 message".to_owned()
                } else {
                    format!("{} messages", count(*messages))
                },
                if *messages == 1 { "it was" } else { "they were" }
            ),
        ),
    }
}
