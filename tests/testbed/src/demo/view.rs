//! The demo's screen: one live view on a terminal, a line now and then elsewhere.
//!
//! It shows what it is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::{Term, style, truncate_str};

use super::scene::Seen;

/// Moments that the small charts show, one a second.
const CHART: usize = 60;
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
    drawn: usize,
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
            drawn: 0,
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
        self.drawn = 0;
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
        let lags: Vec<f64> = self.history.iter().map(|h| h.0).collect();
        let replicas: Vec<f64> = self.history.iter().map(|h| h.1).collect();
        let late = seen.delay.is_some_and(|d| d > super::MAX_DELAY.as_secs_f64());
        let state = match seen.state.as_str() {
            "KeepingUp" | "Idle" => style(&seen.state).green(),
            "Recovering" => style(&seen.state).yellow(),
            _ => style(&seen.state).red(),
        };
        let delay = style(seconds(seen.delay));
        let delay = if late { delay.red() } else { delay.green() };
        let mut lines = vec![
            format!("{} {}", style("Spillway").bold(), self.title),
            format!(
                "{} {} ({}s)",
                style(self.clock()).dim(),
                style(&self.phase).cyan(),
                self.phase_start.elapsed().as_secs()
            ),
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
        ];
        let room = usize::from(rows).saturating_sub(lines.len() + 2).clamp(3, 14);
        let said = seen.said.iter().flat_map(|(reason, note)| told(reason, note, width));
        let said: Vec<String> = said.collect();
        lines.extend(said.iter().skip(said.len().saturating_sub(room)).cloned());
        if let Some(problem) = &seen.problem {
            lines.push(format!("  {}", style(problem).red()));
        }
        // An error here is a terminal that is gone: the demo goes on.
        let _ = self.term.clear_last_lines(self.drawn);
        for line in &lines {
            let _ = self.term.write_line(&truncate_str(line, width - 1, "…"));
        }
        self.drawn = lines.len();
    }
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
