//! A run as a picture (SVG): states, traffic, lag, delay against the objective, replicas and rebalances.
//!
//! Panels over one time axis. It computes nothing but what fits on the paper: of each
//! stretch of time that falls on one point, the highest lag and delay are drawn.

mod axis;
mod bands;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use self::axis::{TimeAxis, number, unit};
pub use self::bands::{Band, events, schedules};
use super::run::{Run, Sample};
use crate::report::sentence::span;

const SIZE: (u32, u32) = (1200, 1040);
/// Points drawn of a line.
const POINTS: usize = 1100;
const FONT: &str = "sans-serif";
/// Width of a letter of the legend, about, px.
const LETTER: f64 = 7.2;
const LEFT: u32 = 78;
/// Room for the units, left of the numbers, px.
const MARGIN: u32 = 14;
/// Room right of the lines, px.
const RIGHT: u32 = 24;

/// Colours that the colour-blind tell apart (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 140, 0);
const RED: RGBColor = RGBColor(213, 60, 0);
const GREEN: RGBColor = RGBColor(0, 138, 100);
const GREY: RGBColor = RGBColor(110, 110, 110);

/// Where the reader's screen is dark, paper and ink change places, and what is grey or blue is lighter.
const DARK: &str = "<style>@media (prefers-color-scheme: dark) {\
 svg { background: #16191d }\
 [fill=\"#FFFFFF\"] { fill: #16191d } [fill=\"#000000\"] { fill: #e8e8e8 } [stroke=\"#000000\"] { stroke: #e8e8e8 }\
 [fill=\"#6E6E6E\"] { fill: #a8a8a8 } [stroke=\"#6E6E6E\"] { stroke: #a8a8a8 } [stroke=\"#0072B2\"] { stroke: #56b4e9 }\
 }</style>";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<TimeAxis, RangedCoordf64>>;

struct Line {
    label: String,
    color: RGBColor,
    /// px. What lies under another line is wider, and shows beside it.
    width: u32,
    points: Vec<(f64, f64)>,
}

struct Panel {
    title: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
    /// Moments to mark at the foot, and what they are.
    marks: Option<(&'static str, Vec<f64>)>,
}

/// Draws a run, with what else happened meanwhile.
///
/// # Errors
/// When the picture cannot be made, in words.
pub fn svg(run: &Run, bands: &[Band]) -> Result<String, String> {
    let mut out = String::new();
    draw(run, bands, &mut out).map_err(|e| format!("the plot cannot be drawn: {e}"))?;
    if let Some(begins) = out.find("<svg").and_then(|at| Some(at + out[at..].find('>')? + 1)) {
        out.insert_str(begins, DARK);
    }
    Ok(out)
}

fn draw(run: &Run, bands: &[Band], out: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let axis = TimeAxis::new(run.duration);
    let panels = panels(run);
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(64);
    heading(run, &head)?;
    let (strip, body) = body.split_vertically(40);
    draw_states(run, &strip)?;
    for (i, (panel, area)) in panels.iter().zip(body.split_evenly((panels.len(), 1))).enumerate() {
        let place = Place { first: i == 0, last: i + 1 == panels.len() };
        draw_panel(panel, &area, run.duration.max(1e-9), &axis, bands, place)?;
    }
    root.present()?;
    Ok(())
}

fn heading(run: &Run, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let f = &run.figures;
    area.draw_text(
        &format!("{}: {} over {}", run.scenario, run.controller, span(run.duration)),
        &(FONT, 22).into_font().color(&BLACK),
        (16, 12),
    )?;
    let line = format!(
        "{:.1} replica-hours · {} writes · {} rebalances · {:.3} % of the messages late (objective {}) · longest delay {}",
        f.replica_hours,
        f.writes,
        f.rebalances,
        100.0 * f.late_share,
        span(run.max_delay),
        span(f.peak_delay)
    );
    area.draw_text(&line, &(FONT, 14).into_font().color(&GREY), (16, 42))?;
    Ok(())
}

/// The states as a strip, with their names above it.
fn draw_states(run: &Run, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let states = bands::states(run);
    let left = f64::from(LEFT + MARGIN);
    let wide = f64::from(SIZE.0 - RIGHT) - left;
    let x = |at: f64| (left + wide * (at / run.duration.max(1e-9)).clamp(0.0, 1.0)) as i32;
    let middle = Pos::new(HPos::Left, VPos::Center);
    let text = (FONT, 13).into_font().color(&BLACK).pos(middle);
    if !states.is_empty() {
        area.draw_text("State", &(FONT, 16).into_font().color(&BLACK).pos(middle), (left as i32, 10))?;
    }
    let mut legend = left as i32 + 110;
    let mut told = Vec::new();
    for (i, (from, state)) in states.iter().enumerate() {
        let until = states.get(i + 1).map_or(run.duration, |(at, _)| *at);
        // Never so short that it cannot be seen.
        let (begin, end) = (x(*from), x(until).max(x(*from) + 1));
        area.draw(&Rectangle::new([(begin, 22), (end, 34)], bands::color(*state).filled()))?;
        if !told.contains(state) {
            told.push(*state);
            area.draw(&Rectangle::new([(legend, 5), (legend + 24, 15)], bands::color(*state).filled()))?;
            area.draw_text(state.as_str(), &text, (legend + 32, 10))?;
            legend += 32 + (state.as_str().len() as f64 * LETTER) as i32 + 24;
        }
    }
    Ok(())
}

fn panels(run: &Run) -> [Panel; 4] {
    let until = run.duration;
    let thinned = thin(&run.series);
    let line = |label: &str, color: RGBColor, width: u32, of: &dyn Fn(&Sample) -> f64| Line {
        label: label.to_owned(),
        color,
        width,
        points: thinned.iter().map(|s| (s.at, of(s))).collect(),
    };
    let stairs = |label: &str, color: RGBColor, width: u32, of: &dyn Fn(&Sample) -> i32| Line {
        label: label.to_owned(),
        color,
        width,
        points: steps(run.series.iter().map(|s| (s.at - run.every, f64::from(of(s)))), until),
    };
    let longest = thinned.iter().map(|s| f64::from(s.delay)).fold(run.max_delay, f64::max);
    let (unit, seconds) = unit(longest);
    [
        Panel {
            title: "Traffic",
            unit: "messages / s",
            lines: vec![
                line("processed", ORANGE, 5, &|s| f64::from(s.consumed)),
                line("arriving", BLUE, 2, &|s| f64::from(s.arrival)),
            ],
            marks: None,
        },
        Panel {
            title: "Lag",
            unit: "messages",
            lines: vec![line("waiting", BLUE, 2, &|s| f64::from(s.lag))],
            marks: None,
        },
        Panel {
            title: "Delay",
            unit,
            lines: vec![
                line("of the oldest message waiting", BLUE, 2, &|s| f64::from(s.delay) / seconds),
                Line {
                    label: format!("objective, {}", span(run.max_delay)),
                    color: RED,
                    width: 2,
                    points: vec![(0.0, run.max_delay / seconds), (until, run.max_delay / seconds)],
                },
            ],
            marks: None,
        },
        Panel {
            title: "Replicas",
            unit: "replicas",
            lines: vec![stairs("asked for", ORANGE, 5, &|s| s.spec), stairs("ready", GREEN, 2, &|s| s.ready)],
            marks: Some(("rebalance", run.rebalances.clone())),
        },
    ]
}

/// Where a panel is among the others: the first has the names of what is shaded, the last the time.
#[derive(Clone, Copy)]
struct Place {
    first: bool,
    last: bool,
}

fn draw_panel(
    panel: &Panel,
    area: &Area<'_>,
    until: f64,
    axis: &TimeAxis,
    bands: &[Band],
    place: Place,
) -> Result<(), Box<dyn std::error::Error>> {
    let highest = panel.lines.iter().flat_map(|l| &l.points).map(|(_, y)| *y).fold(0.0, f64::max);
    // Room above the lines for what is shaded.
    let room = if place.first && !bands.is_empty() { 1.3 } else { 1.08 };
    let top = if highest > 0.0 { highest * room } else { 1.0 };
    let (head, body) = area.split_vertically(26);
    legend(panel, &head)?;
    let mut chart = ChartBuilder::on(&body)
        .margin_left(MARGIN)
        .margin_right(RIGHT)
        .margin_top(4)
        .x_label_area_size(if place.last { 46 } else { 22 })
        .y_label_area_size(LEFT)
        .build_cartesian_2d(axis.clone(), 0.0..top)?;
    draw_bands(&mut chart, bands, top, until, place)?;
    let label = (FONT, 13).into_font().color(&GREY);
    let moment = |at: &f64| axis.label(*at);
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.10))
        .axis_style(BLACK.mix(0.4))
        .x_labels(axis.marks.len())
        .y_labels(6)
        .label_style(label.clone())
        .axis_desc_style((FONT, 13).into_font().color(&BLACK))
        .y_desc(panel.unit)
        .x_label_formatter(&moment)
        .y_label_formatter(&|y| number(*y));
    if place.last {
        mesh.x_desc(axis.about());
    }
    mesh.draw()?;
    if let Some((_, marks)) = &panel.marks {
        draw_marks(&mut chart, marks, top, until)?;
    }
    for line in &panel.lines {
        // What is wide is pale: what lies on it is to be read as well.
        let style = line.color.mix(if line.width > 2 { 0.55 } else { 1.0 }).stroke_width(line.width);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
    }
    Ok(())
}

/// Shades what happened, and says in the first panel what it was.
fn draw_bands(
    chart: &mut Chart<'_, '_>,
    bands: &[Band],
    top: f64,
    until: f64,
    place: Place,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut named: Vec<(&str, f64, usize)> = Vec::new();
    for band in bands {
        let (color, share) = if band.schedule { (BLUE, 0.10) } else { (RED, 0.12) };
        let shade = color.mix(share).filled();
        // A moment is a stripe.
        let to = band.to.max(band.from + until / 400.0).min(until);
        chart.draw_series(std::iter::once(Rectangle::new([(band.from, 0.0), (to, top)], shade)))?;
        // The same again, as a schedule each day, is named once.
        if !place.first || named.iter().any(|(label, ..)| *label == band.label) {
            continue;
        }
        let wide = band.label.chars().count() as f64 * LETTER * until / f64::from(SIZE.0 - LEFT - RIGHT);
        let free = |row: &usize| !named.iter().any(|(_, end, of)| of == row && *end > band.from);
        let row = (0..ROWS).find(free).unwrap_or(0);
        named.push((&band.label, band.from + wide, row));
        let at = (band.from.min((until - wide).max(0.0)), top * (0.99 - 0.09 * row as f64));
        let text = (FONT, 12).into_font().color(&color);
        chart.draw_series(std::iter::once(Text::new(band.label.clone(), at, text)))?;
    }
    Ok(())
}

/// Names of what is shaded, one above the other.
const ROWS: usize = 3;

/// Short strokes at the foot; those that would fall on each other are one.
fn draw_marks(
    chart: &mut Chart<'_, '_>,
    marks: &[f64],
    top: f64,
    until: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut last = f64::NEG_INFINITY;
    for at in marks {
        if at - last >= until / POINTS as f64 {
            last = *at;
            let stroke = [(*at, 0.0), (*at, top * 0.10)];
            chart.draw_series(std::iter::once(PathElement::new(stroke, GREY.stroke_width(1))))?;
        }
    }
    Ok(())
}

/// The title of a panel, and what its lines are, beside it: never on the lines themselves.
fn legend(panel: &Panel, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let middle = Pos::new(HPos::Left, VPos::Center);
    let y = 14;
    area.draw_text(
        panel.title,
        &(FONT, 16).into_font().color(&BLACK).pos(middle),
        ((LEFT + MARGIN) as i32, y),
    )?;
    let mut x = (LEFT + MARGIN) as i32 + 110;
    let text = (FONT, 13).into_font().color(&BLACK).pos(middle);
    let entries = panel.lines.iter().map(|l| (l.label.as_str(), l.color, l.width));
    let marks = panel.marks.iter().map(|(label, _)| (*label, GREY, 0));
    for (label, color, width) in entries.chain(marks) {
        let mark = width == 0;
        let color = color.mix(if width > 2 { 0.55 } else { 1.0 });
        let stroke = if mark { vec![(x + 12, y - 6), (x + 12, y + 6)] } else { vec![(x, y), (x + 24, y)] };
        area.draw(&PathElement::new(stroke, color.stroke_width(width.max(1))))?;
        area.draw_text(label, &text, (x + 32, y))?;
        x += 32 + (label.chars().count() as f64 * LETTER) as i32 + 28;
    }
    Ok(())
}

/// As many samples as points can be told apart: rates on average, lag and delay at their highest.
fn thin(series: &[Sample]) -> Vec<Sample> {
    let each = series.len().div_ceil(POINTS).max(1);
    series
        .chunks(each)
        .map(|chunk| {
            let n = chunk.len() as f32;
            let highest = |of: fn(&Sample) -> f32| chunk.iter().map(of).fold(0.0, f32::max);
            Sample {
                arrival: chunk.iter().map(|s| s.arrival).sum::<f32>() / n,
                consumed: chunk.iter().map(|s| s.consumed).sum::<f32>() / n,
                lag: highest(|s| s.lag),
                delay: highest(|s| s.delay),
                ..chunk.last().copied().unwrap_or_default()
            }
        })
        .collect()
}

/// A line that stays until it jumps.
fn steps(points: impl Iterator<Item = (f64, f64)>, until: f64) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        match out.last().copied() {
            Some((_, before)) if before == y => {}
            Some((_, before)) => out.extend([(x, before), (x, y)]),
            None => out.push((x, y)),
        }
    }
    if let Some((_, last)) = out.last().copied() {
        out.push((until, last));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stays_until_it_jumps() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, 3.0)];
        assert_eq!(steps(points.into_iter(), 4.0), [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0), (4.0, 3.0)]);
    }
}
