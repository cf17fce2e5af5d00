//! Cost and lateness as a picture: a panel a trace or family, a dot a contestant.
//!
//! SVG by hand: no fonts or scripts from elsewhere. Lateness is on a logarithmic scale that begins
//! at a thousandth of a second a message; what is below, and zero, is drawn on its floor.

use std::fmt::Write as _;

use spillway::simulate::Figures;

use crate::cases::Kind;
use crate::contest::{Outcome, Who};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const COLUMNS: usize = 3;
const FLOOR: f64 = 1e-3;
/// Distances of the axes from the edges of a panel: left, right, top, bottom.
const EDGE: (f64, f64, f64, f64) = (68.0, 16.0, 34.0, 44.0);

/// Colours of those who take part.
fn colour(who: Who) -> &'static str {
    match who {
        Who::Spillway => "#0b6e4f",
        Who::KedaDefault => "#b3541e",
        Who::KedaTuned => "#e8871e",
        Who::Flink => "#7b4ea3",
        Who::Cpu => "#2d6cdf",
        Who::Peak => "#6b7280",
        Who::Oracle => "#111827",
    }
}

/// Seconds late a message, on average over all messages.
fn late(figures: &Figures) -> f64 {
    figures.late_message_seconds / figures.messages.max(1.0)
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
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64 + 40.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, outcome) in shown.into_iter().enumerate() {
        let (column, row) = ((i % COLUMNS) as f64, (i / COLUMNS) as f64);
        let _ = writeln!(out, "<g transform=\"translate({},{})\">", column * WIDTH, row * HEIGHT);
        panel(&mut out, outcome);
        out.push_str("</g>\n");
    }
    legend(&mut out, height - 16.0);
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, outcome: &Outcome) {
    let all = outcome.entries.iter().flat_map(|e| &e.figures).chain(outcome.grid.iter().map(|g| &g.1));
    let (mut hours, mut most) = (1.0f64, 10.0 * FLOOR);
    for figures in all {
        hours = hours.max(figures.replica_hours);
        most = most.max(late(figures));
    }
    let scale = Scale { hours: hours * 1.08, decades: (most / FLOOR).log10().ceil() };
    let (left, right) = (EDGE.0, WIDTH - EDGE.1);
    let bottom = HEIGHT - EDGE.3;
    let _ = writeln!(out, "<text x=\"{left}\" y=\"20\" font-weight=\"bold\">{}</text>", outcome.subject.name);
    for decade in 0..=(scale.decades as i32) {
        let value = FLOOR * 10f64.powi(decade);
        let y = scale.y(value);
        let label = if decade == 0 { format!("≤ {value}") } else { format!("{value}") };
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#4b5563\">{label}</text>",
            left - 6.0,
            y + 4.0,
        );
    }
    let each = round_step(scale.hours / 5.0);
    for tick in 0..=((scale.hours / each) as i32) {
        let value = each * f64::from(tick);
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#4b5563\">{value:.0}</text>",
            scale.x(value),
            bottom + 16.0,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">replica-hours</text>\
         <text transform=\"translate(12,{:.1}) rotate(-90)\" text-anchor=\"middle\">s late a message</text>",
        (left + right) / 2.0,
        bottom + 34.0,
        HEIGHT / 2.0,
    );
    let mut curve: Vec<(f64, f64)> =
        outcome.grid.iter().map(|(_, f)| (f.replica_hours, late(f).max(FLOOR))).collect();
    for (x, y) in &curve {
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{}\" fill-opacity=\"0.45\"/>",
            scale.x(*x),
            scale.y(*y),
            colour(Who::KedaTuned),
        );
    }
    // What KEDA can have: nothing cheaper is less late.
    curve.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut best = f64::INFINITY;
    curve.retain(|(_, y)| {
        let less = *y < best;
        best = best.min(*y);
        less
    });
    let points: Vec<String> =
        curve.iter().map(|(x, y)| format!("{:.1},{:.1}", scale.x(*x), scale.y(*y))).collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-dasharray=\"4 3\"/>",
        points.join(" "),
        colour(Who::KedaTuned),
    );
    for entry in outcome.entries.iter().filter(|e| e.who != Who::KedaTuned) {
        let (x, y) = (entry.mean(|f| f.replica_hours).mean, entry.mean(late).mean);
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"{}\" stroke=\"white\"><title>{}: {x:.1} \
             replica-hours, {y:.3} s late a message</title></circle>",
            scale.x(x),
            scale.y(y),
            colour(entry.who),
            entry.who.name(),
        );
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`, and not below 1.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * decade).find(|step| *step >= least).unwrap_or(decade)
}

fn legend(out: &mut String, y: f64) {
    let all = [Who::Spillway, Who::KedaDefault, Who::KedaTuned, Who::Flink, Who::Cpu, Who::Peak, Who::Oracle];
    for (i, who) in all.into_iter().enumerate() {
        let x = 24.0 + 170.0 * i as f64;
        let name = if who == Who::KedaTuned { "KEDA, whole grid" } else { who.name() };
        let _ = writeln!(
            out,
            "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 4.0,
            colour(who),
            x + 10.0,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!([0.3, 1.5, 31.0, 50.0, 620.0].map(round_step), [1.0, 2.0, 50.0, 50.0, 1000.0]);
    }
}
