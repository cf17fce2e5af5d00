//! The demo's screen: one live view on a terminal, a line now and then elsewhere.
//!
//! It shows what it is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::{Style, Term, measure_text_width, style, truncate_str};

use super::scene::Seen;

/// Moments that the small charts show, one a second.
const CHART: usize = 60;
/// Width of what stands to the left of a chart, and of the margin to its right.
const BESIDE: usize = 26;
/// Time between two lines where there is no terminal.
const SELDOM: Duration = Duration::from_secs(5);

/// The screen.
pub(super) struct View {
    term: Term,
    live: bool,
    title: String,
    phase: String,
    start: Instant,
    phase_start: Instant,
    /// Width of each line on the screen.
    drawn: Vec<usize>,
    /// Time, lag and replicas, a point a second.
    history: VecDeque<(f64, f64)>,
    noted: Option<Instant>,
    told: usize,
    lined: Option<Instant>,
}

impl View {
    pub fn new(title: String) -> Self {
        let term = Term::stdout();
        let live = term.is_term();
        let now = Instant::now();
        if !live {
            println!("{title}");
        }
        Self {
            term,
            live,
            title,
            phase: String::new(),
            start: now,
            phase_start: now,
            drawn: Vec::new(),
            history: VecDeque::new(),
            noted: None,
            told: 0,
            lined: None,
        }
    }

    /// Time between two looks.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// Another chapter.
    pub fn phase(&mut self, text: &str) {
        text.clone_into(&mut self.phase);
        self.phase_start = Instant::now();
        if !self.live {
            println!("[{}] — {text}", self.clock());
            self.lined = None;
        }
    }

    fn clock(&self) -> String {
        let s = self.start.elapsed().as_secs();
        format!("{}:{:02}", s / 60, s % 60)
    }

    /// Shows what is seen now.
    pub fn show(&mut self, seen: &Seen) {
        if self.noted.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            self.noted = Some(Instant::now());
            self.history.push_back((seen.lag.unwrap_or(0.0), seen.replicas.unwrap_or(0.0)));
            if self.history.len() > CHART {
                self.history.pop_front();
            }
        }
        if self.live {
            self.draw(seen);
        } else {
            self.print(seen);
        }
    }

    /// Leaves what is on the screen where it is.
    pub fn close(&mut self) {
        self.drawn.clear();
    }

    fn print(&mut self, seen: &Seen) {
        for (reason, note) in seen.said.iter().skip(self.told) {
            let said = told(reason, note, usize::MAX).join("");
            println!("[{}] {}", self.clock(), said.trim_start_matches([' ', '•']));
        }
        self.told = self.told.max(seen.said.len());
        if self.lined.is_none_or(|at| at.elapsed() >= SELDOM) {
            self.lined = Some(Instant::now());
            println!("[{}] {}", self.clock(), seen.line());
        }
    }

    fn draw(&mut self, seen: &Seen) {
        let (rows, width) = self.term.size();
        let width = usize::from(width.max(40));
        // The latest of the past that there is room for beside the numbers.
        let past = self.history.len().saturating_sub(width.saturating_sub(BESIDE));
        let lags: Vec<f64> = self.history.iter().skip(past).map(|h| h.0).collect();
        let replicas: Vec<f64> = self.history.iter().skip(past).map(|h| h.1).collect();
        let late = seen.delay.is_some_and(|d| d > super::MAX_DELAY.as_secs_f64());
        let state = match seen.state.as_str() {
            "KeepingUp" | "Idle" => style(&seen.state).green(),
            "Recovering" => style(&seen.state).yellow(),
            _ => style(&seen.state).red(),
        };
        let delay = style(seconds(seen.delay));
        let delay = if late { delay.red() } else { delay.green() };
        let phase = format!("{} ({}s)", self.phase, self.phase_start.elapsed().as_secs());
        let mut lines = headed("Spillway", &Style::new().bold(), &self.title, &Style::new(), width);
        lines.extend(headed(&self.clock(), &Style::new().dim(), &phase, &Style::new().cyan(), width));
        lines.extend([
            String::new(),
            format!("  state       {state}"),
            format!("  lag         {:<10} {}", number(seen.lag), chart(&lags)),
            format!("  delay       {delay}, at most {}s are promised", super::MAX_DELAY.as_secs()),
            format!(
                "  arriving    {:<10} processed {}   a replica can {}",
                rate(seen.arriving),
                rate(seen.processed),
                rate(seen.capacity)
            ),
            format!(
                "  replicas    {:<10} {}",
                format!("{} of {}", number(seen.ready), number(seen.desired.or(seen.replicas))),
                chart(&replicas)
            ),
            format!("  ETA         {}", seconds(seen.eta.filter(|eta| *eta > 0.0))),
            String::new(),
        ]);
        let room = usize::from(rows).saturating_sub(lines.len() + 2).clamp(3, 14);
        let said = seen.said.iter().flat_map(|(reason, note)| told(reason, note, width));
        let said: Vec<String> = said.collect();
        lines.extend(said.iter().skip(said.len().saturating_sub(room)).cloned());
        if let Some(problem) = &seen.problem {
            lines.push(format!("  {}", style(problem).red()));
        }
        let lines: Vec<_> = lines.iter().map(|line| truncate_str(line, width - 1, "…")).collect();
        // An error here is a terminal that is gone: the demo goes on.
        let _ = self.term.move_cursor_up(rows_of(&self.drawn, width).min(usize::from(rows)));
        let _ = self.term.clear_to_end_of_screen();
        for line in &lines {
            let _ = self.term.write_line(line);
        }
        self.drawn = lines.iter().map(|line| measure_text_width(line)).collect();
    }
}

/// Rows that lines of these widths take: a terminal that was made narrower since they were drawn
/// has broken those that no longer fit.
fn rows_of(widths: &[usize], width: usize) -> usize {
    widths.iter().map(|w| w.div_ceil(width).max(1)).sum()
}

/// A first word in a style of its own and a text after it, in as many lines as it takes.
fn headed(first: &str, first_style: &Style, text: &str, text_style: &Style, width: usize) -> Vec<String> {
    let indent = " ".repeat(first.chars().count() + 1);
    let options = textwrap::Options::new(width - 1).initial_indent(&indent).subsequent_indent(&indent);
    let wrapped = textwrap::wrap(text, options);
    let styled = wrapped.iter().enumerate().map(|(i, line)| {
        let text = text_style.apply_to(line.trim_start());
        if i == 0 { format!("{} {text}", first_style.apply_to(first)) } else { format!("{indent}{text}") }
    });
    styled.collect()
}

impl Seen {
    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{:<13} lag {:<7} delay {:<5} arriving {:<6} processed {:<6} replicas {} of {}, ETA {}{}",
            if self.state.is_empty() { "…" } else { &self.state },
            number(self.lag),
            seconds(self.delay),
            rate(self.arriving),
            rate(self.processed),
            number(self.ready),
            number(self.desired.or(self.replicas)),
            seconds(self.eta),
            self.problem.as_ref().map(|p| format!(" ({p})")).unwrap_or_default()
        )
    }
}

/// What Spillway said, in as many lines as it takes.
fn told(reason: &str, note: &str, width: usize) -> Vec<String> {
    let text = if note.starts_with(reason) { note.to_owned() } else { format!("{reason}: {note}") };
    let options = textwrap::Options::new(width - 1).initial_indent("  • ").subsequent_indent("    ");
    textwrap::wrap(&text, options).into_iter().map(|line| line.into_owned()).collect()
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".into(), |v| format!("{v:.0}"))
}

fn rate(value: Option<f64>) -> String {
    value.map_or("–".into(), |v| format!("{v:.0}/s"))
}

fn seconds(value: Option<f64>) -> String {
    value.map_or("–".into(), |v| format!("{v:.0}s"))
}

/// A line of bars, the highest value the full height.
fn chart(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().fold(1.0, f64::max);
    values.iter().map(|v| BARS[((v / most * 7.0).round() as usize).min(7)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_on_in_the_next_line() {
        let plain = Style::new();
        let text = "the database behind the consumers is down for 40s: they process nothing (12s)";
        let lines = headed("0:43", &plain, text, &plain, 60);
        assert_eq!(
            lines,
            ["0:43 the database behind the consumers is down for 40s:", "     they process nothing (12s)"]
        );
        assert!(lines.iter().all(|line| measure_text_width(line) < 60));
    }

    #[test]
    fn a_style_takes_no_columns() {
        let green = Style::new().green().force_styling(true);
        let styled = green.apply_to("12345678").to_string();
        assert_eq!((measure_text_width(&styled), truncate_str(&styled, 8, "…")), (8, (&*styled).into()));
    }

    #[test]
    fn a_narrower_terminal_has_broken_the_lines() {
        assert_eq!(rows_of(&[0, 79, 80, 81, 139], 80), 1 + 1 + 1 + 2 + 2);
        assert_eq!(rows_of(&[139, 20], 140), 2);
    }
}
