//! YAML documents as a Kubernetes client reads them, with the line of each field.
//!
//! Scalars are resolved as kubectl does, by YAML 1.1: `on` and `yes` are booleans there, and a resource
//! that says so where a word is wanted is refused by the cluster. It knows no kinds and reads no files.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Value};

/// Longest text read, bytes.
const LONGEST: usize = 8 << 20;
/// Deepest that lists and objects lie in each other.
const DEEPEST: usize = 100;
/// Most values of one document, those that aliases repeat counted each time.
const MOST: usize = 1_000_000;

/// Longest text of somebody else's that is shown, in characters.
const LONGEST_SAID: usize = 500;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Line of its first value, from 1.
    pub line: usize,
    /// What is in it.
    pub value: Value,
    lines: BTreeMap<String, usize>,
}

/// What is wrong with a text, and in which line, from 1.
pub type Problem = (usize, String);

impl Document {
    /// The line of a field such as `spec.consumerGroups[0].group`; of what it would be in, when it is not
    /// there.
    pub fn line_of(&self, field: &str) -> usize {
        let mut field = field.to_owned();
        loop {
            if let Some(line) = self.lines.get(&field) {
                return *line;
            }
            match field.rfind(['.', '[']) {
                Some(at) => field.truncate(at),
                None => return self.line,
            }
        }
    }
}

/// The documents of a text; empty ones are left out.
///
/// # Errors
/// When it is no YAML, or none that a Kubernetes client would take.
pub fn documents(text: &str) -> Result<Vec<Document>, Problem> {
    if text.len() > LONGEST {
        return Err((1, format!("the file has more than {} MiB", LONGEST >> 20)));
    }
    let mut parser = Parser::new_from_str(text.trim_start_matches('\u{feff}'));
    let mut all = Vec::new();
    let mut reader = Reader::default();
    while let Some(next) = parser.next() {
        let (event, span) = next.map_err(|e| told(&e))?;
        match event {
            Event::DocumentStart(_) => reader = Reader::default(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            first => {
                let line = span.start.line();
                let value = reader.value(&mut parser, first, line, String::new(), 0)?;
                let lines = std::mem::take(&mut reader.lines);
                if !value.is_null() {
                    all.push(Document { line, value, lines });
                }
            }
        }
    }
    Ok(all)
}

/// The last line of a text that has something in it, from 1: where a text ends amid something, a parser may say
/// that it was beyond.
pub fn last_line(text: &str) -> usize {
    text.trim_end().lines().count().max(1)
}

/// A text of somebody else's in one line that a terminal and a comment show as it is.
pub fn one_line(text: &str) -> String {
    let broken = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    let mut line: String =
        text.chars().take(LONGEST_SAID + 1).map(|c| if broken(c) { ' ' } else { c }).collect();
    if line.chars().count() > LONGEST_SAID {
        line = line.chars().take(LONGEST_SAID).collect::<String>() + "…";
    }
    line
}

fn told(error: &ScanError) -> Problem {
    (error.marker().line().max(1), format!("not YAML: {}", error.info()))
}

/// Reads the values of one document.
#[derive(Default)]
struct Reader {
    lines: BTreeMap<String, usize>,
    anchors: HashMap<usize, Value>,
    values: usize,
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

impl Reader {
    fn value(
        &mut self,
        parser: &mut Events<'_>,
        event: Event<'_>,
        line: usize,
        path: String,
        depth: usize,
    ) -> Result<Value, Problem> {
        self.values += 1;
        if depth > DEEPEST || self.values > MOST {
            return Err((line, "it is nested too deeply, or has too much in it, for a resource".to_owned()));
        }
        self.lines.entry(path.clone()).or_insert(line);
        let (value, anchor) = match event {
            Event::Alias(id) => {
                let value = self.anchors.get(&id).cloned().unwrap_or_default();
                self.values += size(&value);
                (value, 0)
            }
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()), anchor),
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, line) = next(parser)?;
                    if event == Event::SequenceEnd {
                        break (Value::Array(items), anchor);
                    }
                    let path = format!("{path}[{}]", items.len());
                    items.push(self.value(parser, event, line, path, depth + 1)?);
                }
            }
            Event::MappingStart(anchor, _) => (self.mapping(parser, &path, depth)?, anchor),
            other => return Err((line, format!("not YAML: {other:?} is not expected here"))),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn mapping(&mut self, parser: &mut Events<'_>, path: &str, depth: usize) -> Result<Value, Problem> {
        let mut fields = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, line) = next(parser)?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err((line, "a key must be a word, not a list or an object".to_owned())),
            };
            let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.lines.insert(at.clone(), line);
            let (event, of) = next(parser)?;
            let value = self.value(parser, event, of, at, depth + 1)?;
            if key == "<<" {
                merged.push(value);
            } else if fields.insert(key.clone(), value).is_some() {
                return Err((line, format!("key {key:?} already set in map")));
            }
        }
        let each = merged.into_iter().flat_map(|m| match m {
            Value::Array(several) => several,
            one => vec![one],
        });
        for (key, value) in each.filter_map(|m| m.as_object().cloned()).flatten() {
            fields.entry(key).or_insert(value);
        }
        Ok(Value::Object(fields))
    }
}

fn next<'a>(parser: &mut Events<'a>) -> Result<(Event<'a>, usize), Problem> {
    match parser.next() {
        Some(Ok((event, span))) => Ok((event, span.start.line())),
        Some(Err(error)) => Err(told(&error)),
        None => Err((1, "not YAML: it ends amid something".to_owned())),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 1,
        Value::Object(fields) => fields.values().map(size).sum::<usize>() + 1,
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let of_core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    if style != ScalarStyle::Plain || of_core == Some("str") {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A number as YAML 1.1 writes it: `10`, `0x1f`, `0o17`, `017`, `0b11`, `1_000`, `1.5`, `1e3`.
fn number(text: &str) -> Option<Value> {
    if text.trim_start_matches(['-', '+']).starts_with('_') {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1_i64, rest),
        None => (1_i64, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let radix = |prefix: &str, radix| {
        let of = digits.strip_prefix(prefix).filter(|of| !of.is_empty() && !of.starts_with(['+', '-']))?;
        i64::from_str_radix(of, radix).ok()
    };
    let whole = radix("0x", 16)
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0", 8))
        .or_else(|| digits.parse::<i64>().ok().filter(|_| !digits.starts_with('0') || digits == "0"));
    if let Some(whole) = whole {
        return Some(Value::from(sign * whole));
    }
    let fits = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let fraction = fits.then(|| digits.parse::<f64>().ok()).flatten()?;
    // In JSON, which a client sends, 3.0 is 3.
    if fraction.fract() == 0.0 && fraction.abs() < 1e15 {
        return Some(Value::from(sign * fraction as i64));
    }
    serde_json::Number::from_f64(sign as f64 * fraction).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn documents_are_read_with_the_lines_of_their_fields() {
        let text = "# first\n---\nkind: A\nspec:\n  groups:\n  - name: x\n    topics: [a,\n      b]\n---\n# nothing\n---\nkind: B\n";
        let all = documents(text).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(
            all[0].value,
            json!({"kind": "A", "spec": {"groups": [{"name": "x", "topics": ["a", "b"]}]}})
        );
        let lines = ["kind", "spec", "spec.groups", "spec.groups[0]", "spec.groups[0].topics[1]"];
        assert_eq!(lines.map(|f| all[0].line_of(f)), [3, 4, 5, 6, 8]);
        assert_eq!(all[0].line_of("spec.groups[0].missing.more"), 6, "what it would be in");
        assert_eq!(all[0].line_of("status"), 3);
        assert_eq!((all[1].line, all[1].line_of("kind")), (12, 12));
    }

    #[test]
    fn aliases_and_merges_are_what_they_stand_for() {
        let text = "a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n";
        let value = &documents(text).unwrap()[0].value;
        assert_eq!(*value, json!({"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 2}, "c": {"p": 1, "q": 3}}));
    }

    #[rstest]
    #[case("10", json!(10))]
    #[case("-10", json!(-10))]
    #[case("1_000", json!(1000))]
    #[case("0x1f", json!(31))]
    #[case("_1", json!("_1"))]
    #[case("017", json!(15))]
    #[case("0", json!(0))]
    #[case("1.5", json!(1.5))]
    #[case("3.0", json!(3))]
    #[case("1e3", json!(1000))]
    #[case("on", json!(true))]
    #[case("'on'", json!("on"))]
    #[case("!!str 10", json!("10"))]
    #[case("30s", json!("30s"))]
    #[case("0 7 * * 1-5", json!("0 7 * * 1-5"))]
    #[case("2024-01-01", json!("2024-01-01"))]
    #[case("1.2.3.4", json!("1.2.3.4"))]
    #[case(".", json!("."))]
    fn scalars_are_what_kubectl_makes_of_them(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(documents(&format!("k: {text}\n")).unwrap()[0].value["k"], expected);
    }

    #[rstest]
    #[case("a: [\n", 1)]
    #[case("a: 1\nb: 2\na: 3\n", 3)]
    #[case("a: 1\n\tb: 2\n", 2)]
    #[case("? [a]\n: b\n", 1)]
    fn what_is_no_yaml_is_told_with_its_line(#[case] text: &str, #[case] line: usize) {
        let (at, what) = documents(text).unwrap_err();
        assert!(at.abs_diff(line) <= 1 && !what.is_empty(), "{at}: {what}");
    }

    #[test]
    fn what_blows_up_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let of = format!("*a{}", i - 1);
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![of; 10].join(", "));
        }
        assert!(documents(&bomb).is_err());
        assert!(documents(&format!("a: {}{}", "[".repeat(5000), "]".repeat(5000))).is_err());
    }
}
