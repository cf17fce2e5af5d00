//! Cost and lateness as a picture: a panel a trace or family, a mark a contestant.
//!
//! SVG by hand: no fonts or scripts from elsewhere; it follows the reader's light or dark scheme.
//! Lateness is on a logarithmic scale that begins at a thousandth of a second a message; what is below, and
//! zero, is drawn on its floor. Marks differ in shape and size, the larger ones hollow, so that those in
//! the same place can all be seen.

use std::fmt::Write as _;

use spillway::simulate::Figures;

use crate::cases::Kind;
use crate::contest::{Entry, Outcome, Who};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const COLUMNS: usize = 3;
const FLOOR: f64 = 1e-3;
/// Distances of the axes from the edges of a panel: left, right, top, bottom.
const EDGE: (f64, f64, f64, f64) = (74.0, 16.0, 34.0, 44.0);
/// Everyone, in the order of drawing: the largest and hollow ones first.
const ALL: [Who; 7] =
    [Who::Peak, Who::KedaDefault, Who::KedaTuned, Who::Flink, Who::Cpu, Who::Oracle, Who::Spillway];

/// Colours by class, in a light and a dark scheme; shapes are drawn in the `color` of their class.
const STYLE: &str = "<style>\
.back{color:#ffffff}.text{color:#111827}.soft{color:#4b5563}.grid{color:#e5e7eb}\
.spillway{color:#0b7a55}.default{color:#b3541e}.tuned{color:#d97706}.flink{color:#7b4ea3}.cpu{color:#2d6cdf}\
.peak{color:#6b7280}.oracle{color:#111827}\
@media(prefers-color-scheme:dark){\
.back{color:#0d1117}.text{color:#e6edf3}.soft{color:#9aa4b2}.grid{color:#2b323b}\
.spillway{color:#34d399}.default{color:#f0883e}.tuned{color:#fbbf24}.flink{color:#c297ee}.cpu{color:#79b0ff}\
.peak{color:#9aa4b2}.oracle{color:#f0f6fc}}\
</style>";

/// The class of a contestant.
fn class(who: Who) -> &'static str {
    match who {
        Who::Spillway => "spillway",
        Who::KedaDefault => "default",
        Who::KedaTuned => "tuned",
        Who::Flink => "flink",
        Who::Cpu => "cpu",
        Who::Peak => "peak",
        Who::Oracle => "oracle",
    }
}

/// A contestant's mark around a point.
fn mark(who: Who, x: f64, y: f64, title: &str) -> String {
    let square = |half: f64| {
        let side = 2.0 * half;
        ("rect", format!("x=\"{:.1}\" y=\"{:.1}\" width=\"{side}\" height=\"{side}\"", x - half, y - half))
    };
    let circle = |r: f64| ("circle", format!("cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\""));
    let path = |moves: &str| ("path", format!("d=\"M{x:.1} {y:.1}{moves}\""));
    let ((shape, place), hollow) = match who {
        Who::Peak => (square(8.0), true),
        Who::KedaDefault => (circle(5.5), true),
        Who::KedaTuned => (path("m0 -6l6 6l-6 6l-6 -6z"), false),
        Who::Flink => (path("m0 -5.5l5.5 9.5h-11z"), false),
        Who::Cpu => (square(4.0), false),
        // A cross leaves what is below it to be seen.
        Who::Oracle => (path("m-9 0h18m-9 -9v18"), true),
        Who::Spillway => (circle(4.5), false),
    };
    let paint = if hollow {
        "fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\""
    } else {
        "fill=\"currentColor\""
    };
    format!("<{shape} class=\"{}\" {place} {paint}><title>{title}</title></{shape}>", class(who))
}

/// Seconds late a message, on average over all messages.
fn late(figures: &Figures) -> f64 {
    figures.late_message_seconds / figures.messages.max(1.0)
}

/// Replica-hours and seconds late a message, over the seeds.
fn place(entry: &Entry) -> (f64, f64) {
    (entry.mean(|f| f.replica_hours).mean, entry.mean(late).mean)
}

/// Where something is in a panel.
struct Scale {
    hours: f64,
    decades: f64,
}

impl Scale {
    fn x(&self, hours: f64) -> f64 {
        EDGE.0 + (WIDTH - EDGE.0 - EDGE.1) * hours / self.hours
    }

    fn y(&self, late: f64) -> f64 {
        let up = (late.max(FLOOR) / FLOOR).log10() / self.decades;
        HEIGHT - EDGE.3 - (HEIGHT - EDGE.2 - EDGE.3) * up
    }
}

/// The picture.
pub fn svg(outcomes: &[Outcome]) -> String {
    let shown: Vec<&Outcome> = outcomes.iter().filter(|o| o.subject.kind != Kind::Case).collect();
    let rows = shown.len().div_ceil(COLUMNS).max(1);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64 + 64.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n{STYLE}\n<rect class=\"back\" fill=\"currentColor\" width=\"100%\" height=\"100%\"/>\n"
    );
    for (i, outcome) in shown.into_iter().enumerate() {
        let (column, row) = ((i % COLUMNS) as f64, (i / COLUMNS) as f64);
        let _ = writeln!(out, "<g transform=\"translate({},{})\">", column * WIDTH, row * HEIGHT);
        panel(&mut out, outcome);
        out.push_str("</g>\n");
    }
    legend(&mut out, height - 44.0);
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, outcome: &Outcome) {
    let (mut hours, mut most) = (1.0f64, 10.0 * FLOOR);
    for (x, y) in outcome.entries.iter().chain(&outcome.grid).map(place) {
        hours = hours.max(x);
        most = most.max(y);
    }
    let scale = Scale { hours: hours * 1.08, decades: (most / FLOOR).log10().ceil() };
    axes(out, &scale, &outcome.subject.name);
    grid(out, &scale, outcome);
    for entry in ALL.iter().filter_map(|who| outcome.entry(*who)) {
        let (x, y) = place(entry);
        let title = format!("{}: {x:.1} replica-hours, {y:.3} s late a message", entry.who.name());
        let _ = writeln!(out, "{}", mark(entry.who, scale.x(x), scale.y(y), &title));
    }
}

fn axes(out: &mut String, scale: &Scale, name: &str) {
    let (left, right) = (EDGE.0, WIDTH - EDGE.1);
    let bottom = HEIGHT - EDGE.3;
    let _ = writeln!(
        out,
        "<text class=\"text\" fill=\"currentColor\" x=\"{left}\" y=\"20\" font-weight=\"bold\">{name}</text>"
    );
    for decade in 0..=(scale.decades as i32) {
        let value = FLOOR * 10f64.powi(decade);
        let y = scale.y(value);
        let label = if decade == 0 { format!("≤ {value}") } else { format!("{value}") };
        let _ = writeln!(
            out,
            "<line class=\"grid\" stroke=\"currentColor\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"soft\" fill=\"currentColor\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 10.0,
            y + 4.0,
        );
    }
    let each = round_step(scale.hours / 5.0);
    for tick in 0..=((scale.hours / each) as i32) {
        let value = each * f64::from(tick);
        let _ = writeln!(
            out,
            "<text class=\"soft\" fill=\"currentColor\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.0}</text>",
            scale.x(value),
            bottom + 20.0,
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"text\" fill=\"currentColor\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">replica-hours</text>\
         <text class=\"text\" fill=\"currentColor\" transform=\"translate(13,{:.1}) rotate(-90)\" text-anchor=\"middle\">s late a \
         message, logarithmic</text>",
        (left + right) / 2.0,
        bottom + 36.0,
        (EDGE.2 + bottom) / 2.0,
    );
}

/// KEDA's whole grid, and what it can have: nothing cheaper is less late than the line.
fn grid(out: &mut String, scale: &Scale, outcome: &Outcome) {
    let mut curve: Vec<(f64, f64)> = outcome.grid.iter().map(place).collect();
    for (x, y) in &curve {
        let (x, y) = (scale.x(*x), scale.y(*y));
        let _ = writeln!(
            out,
            "<circle class=\"tuned\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"currentColor\" fill-opacity=\"0.4\"/>"
        );
    }
    curve.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut best = f64::INFINITY;
    curve.retain(|(_, y)| {
        let less = y.max(FLOOR) < best;
        best = best.min(y.max(FLOOR));
        less
    });
    let points: Vec<String> =
        curve.iter().map(|(x, y)| format!("{:.1},{:.1}", scale.x(*x), scale.y(*y))).collect();
    let _ = writeln!(
        out,
        "<polyline class=\"tuned\" points=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-dasharray=\"4 3\"/>",
        points.join(" "),
    );
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`, and not below 1.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * decade).find(|step| *step >= least).unwrap_or(decade)
}

fn legend(out: &mut String, y: f64) {
    let say = |out: &mut String, x: f64, y: f64, text: &str| {
        let _ = writeln!(
            out,
            "<text class=\"text\" fill=\"currentColor\" x=\"{}\" y=\"{y}\">{text}</text>",
            x + 14.0
        );
    };
    let tables =
        [Who::Spillway, Who::KedaDefault, Who::KedaTuned, Who::Flink, Who::Cpu, Who::Peak, Who::Oracle];
    for (i, who) in tables.into_iter().enumerate() {
        let x = 24.0 + 172.0 * i as f64;
        let _ = writeln!(out, "{}", mark(who, x, y - 4.0, who.name()));
        say(out, x, y, who.name());
    }
    let y = y + 26.0;
    let _ =
        writeln!(out, "<circle class=\"tuned\" cx=\"24\" cy=\"{}\" r=\"2\" fill=\"currentColor\"/>", y - 4.0);
    say(out, 24.0, y, "a setting of KEDA (three seeds)");
    let _ = writeln!(
        out,
        "<line class=\"tuned\" x1=\"272\" x2=\"300\" y1=\"{0}\" y2=\"{0}\" stroke=\"currentColor\" stroke-dasharray=\"4 3\"/>",
        y - 4.0
    );
    say(out, 294.0, y, "the least late that KEDA is, at any setting, for so many replica-hours");
    say(out, 740.0, y, "lower and further left is better; what was never late lies on the lowest line");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!([0.3, 1.5, 31.0, 50.0, 620.0].map(round_step), [1.0, 2.0, 50.0, 50.0, 1000.0]);
    }

    #[test]
    fn every_mark_is_its_own() {
        let mut marks: Vec<String> = ALL.iter().map(|who| mark(*who, 5.0, 5.0, "")).collect();
        marks.sort();
        marks.dedup();
        assert_eq!(marks.len(), 7);
    }
}
