//! Writes families of series in the Prometheus text format.
//!
//! Straight into one string: at 100,000 partitions a tree of label objects would cost
//! hundreds of megabytes on every scrape. It knows no family by name.

use std::fmt::Write;

use super::family::Family as Described;

/// A page of families under construction.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Writes one family. Its header is written with its first series, so a family
    /// without series leaves no trace.
    pub fn family<'a>(&'a mut self, described: &'static Described) -> Family<'a> {
        Family { page: self, described, begun: false }
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A family under construction.
pub(super) struct Family<'a> {
    page: &'a mut Page,
    described: &'static Described,
    begun: bool,
}

impl Family<'_> {
    /// Writes a series. `None`, and what is no number, is no series: unknown is not zero.
    /// A label with an empty value is left out, which Prometheus takes for the same.
    pub fn series(&mut self, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value.filter(|v| v.is_finite()) else {
            return;
        };
        self.begin();
        let text = &mut self.page.text;
        text.push_str(self.described.name);
        let mut open = '{';
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            text.push(open);
            open = ',';
            text.push_str(name);
            text.push_str("=\"");
            escape(value, text);
            text.push('"');
        }
        if open == ',' {
            text.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, " {value}");
    }

    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        let Described { name, kind, help, .. } = self.described;
        let kind = kind.as_str();
        let _ = write!(self.page.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
}

fn escape(value: &str, into: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::Kind;
    use super::*;

    static COUNTER: Described =
        Described { name: "a_total", kind: Kind::Counter, labels: &["x", "y"], help: "Counts.", series: "1" };

    #[test]
    fn a_family_has_one_header_and_its_series() {
        let mut page = Page::default();
        let mut family = page.family(&COUNTER);
        family.series(&[("x", "1"), ("y", "")], Some(3.0));
        family.series(&[], Some(0.25));
        family.series(&[("x", "2")], None);
        family.series(&[("x", "3")], Some(f64::NAN));
        assert_eq!(
            page.into_text(),
            "# HELP a_total Counts.\n# TYPE a_total counter\na_total{x=\"1\"} 3\na_total 0.25\n"
        );
    }

    #[test]
    fn a_family_without_series_is_not_there() {
        let mut page = Page::default();
        page.family(&COUNTER).series(&[], None);
        assert_eq!(page.into_text(), "");
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let mut page = Page::default();
        page.family(&COUNTER).series(&[("x", "q\"b\\n\nend")], Some(31240.0));
        assert!(page.into_text().ends_with("a_total{x=\"q\\\"b\\\\n\\nend\"} 31240\n"));
    }
}
