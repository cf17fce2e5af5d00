//! A run as a picture (SVG): traffic, lag, delay against the objective, replicas and rebalances.
//!
//! Four panels over one time axis. It computes nothing but what fits on the paper: of each
//! stretch of time that falls on one point, the highest lag and delay are drawn.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::run::{Run, Sample};
use crate::report::sentence::span;

const SIZE: (u32, u32) = (1200, 1000);
/// Points drawn of a line.
const POINTS: usize = 1100;
const FONT: &str = "sans-serif";
/// Width of a letter of the legend, about, px.
const LETTER: f64 = 7.2;
const LEFT: u32 = 78;
/// Room for the units, left of the numbers, px.
const MARGIN: u32 = 14;

/// Colours that the colour-blind tell apart (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 140, 0);
const RED: RGBColor = RGBColor(213, 60, 0);
const GREEN: RGBColor = RGBColor(0, 138, 100);
const GREY: RGBColor = RGBColor(110, 110, 110);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

struct Line {
    label: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

struct Panel {
    title: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
    /// Moments to mark at the foot, and what they are.
    marks: Option<(&'static str, Vec<f64>)>,
}

/// The unit of the time axis, and how many seconds it has.
#[derive(Clone, Copy)]
struct Unit(&'static str, f64);

/// Draws a run.
///
/// # Errors
/// When the picture cannot be made, in words.
pub fn svg(run: &Run) -> Result<String, String> {
    let mut out = String::new();
    draw(run, &mut out).map_err(|e| format!("the plot cannot be drawn: {e}"))?;
    Ok(out)
}

fn draw(run: &Run, out: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let unit = match run.duration {
        d if d <= 2.0 * 3600.0 => Unit("minutes", 60.0),
        d if d <= 4.0 * 86_400.0 => Unit("hours", 3600.0),
        _ => Unit("days", 86_400.0),
    };
    let panels = panels(run, unit);
    let until = (run.duration / unit.1).max(1e-9);
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(64);
    heading(run, &head)?;
    for (i, (panel, area)) in panels.iter().zip(body.split_evenly((panels.len(), 1))).enumerate() {
        let axis = (i + 1 == panels.len()).then_some(unit);
        draw_panel(panel, &area, until, axis)?;
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

fn panels(run: &Run, unit: Unit) -> [Panel; 4] {
    let until = run.duration / unit.1;
    let thinned = thin(&run.series);
    let line = |label: &str, color: RGBColor, of: &dyn Fn(&Sample) -> f64| Line {
        label: label.to_owned(),
        color,
        points: thinned.iter().map(|s| (s.at / unit.1, of(s))).collect(),
    };
    let stairs = |label: &str, color: RGBColor, of: &dyn Fn(&Sample) -> i32| Line {
        label: label.to_owned(),
        color,
        points: steps(run.series.iter().map(|s| ((s.at - run.every) / unit.1, f64::from(of(s)))), until),
    };
    [
        Panel {
            title: "Traffic",
            unit: "messages / s",
            lines: vec![
                line("processed", ORANGE, &|s| f64::from(s.consumed)),
                line("arriving", BLUE, &|s| f64::from(s.arrival)),
            ],
            marks: None,
        },
        Panel {
            title: "Lag",
            unit: "messages",
            lines: vec![line("waiting", BLUE, &|s| f64::from(s.lag))],
            marks: None,
        },
        Panel {
            title: "Delay",
            unit: "seconds",
            lines: vec![
                line("of the oldest message waiting", BLUE, &|s| f64::from(s.delay)),
                Line {
                    label: format!("objective, {}", span(run.max_delay)),
                    color: RED,
                    points: vec![(0.0, run.max_delay), (until, run.max_delay)],
                },
            ],
            marks: None,
        },
        Panel {
            title: "Replicas",
            unit: "replicas",
            lines: vec![stairs("asked for", ORANGE, &|s| s.spec), stairs("ready", GREEN, &|s| s.ready)],
            marks: Some(("rebalance", run.rebalances.iter().map(|at| at / unit.1).collect())),
        },
    ]
}

fn draw_panel(
    panel: &Panel,
    area: &Area<'_>,
    until: f64,
    axis: Option<Unit>,
) -> Result<(), Box<dyn std::error::Error>> {
    let highest = panel.lines.iter().flat_map(|l| &l.points).map(|(_, y)| *y).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest * 1.08 } else { 1.0 };
    let (head, body) = area.split_vertically(26);
    legend(panel, &head)?;
    let mut chart = ChartBuilder::on(&body)
        .margin_left(MARGIN)
        .margin_right(24)
        .margin_top(4)
        .x_label_area_size(if axis.is_some() { 46 } else { 22 })
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..until, 0.0..top)?;
    let label = (FONT, 13).into_font().color(&GREY);
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.10))
        .axis_style(BLACK.mix(0.4))
        .x_labels(13)
        .y_labels(6)
        .label_style(label.clone())
        .axis_desc_style((FONT, 13).into_font().color(&BLACK))
        .y_desc(panel.unit)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y));
    if let Some(unit) = axis {
        mesh.x_desc(format!("{} since the start", unit.0));
    }
    mesh.draw()?;
    if let Some((_, marks)) = &panel.marks {
        draw_marks(&mut chart, marks, top, until)?;
    }
    for line in &panel.lines {
        chart.draw_series(LineSeries::new(line.points.iter().copied(), line.color.stroke_width(2)))?;
    }
    Ok(())
}

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
    let entries = panel.lines.iter().map(|l| (l.label.as_str(), l.color, false));
    let marks = panel.marks.iter().map(|(label, _)| (*label, GREY, true));
    for (label, color, mark) in entries.chain(marks) {
        let stroke = if mark { vec![(x + 12, y - 6), (x + 12, y + 6)] } else { vec![(x, y), (x + 24, y)] };
        area.draw(&PathElement::new(stroke, color.stroke_width(if mark { 1 } else { 3 })))?;
        area.draw_text(label, &text, (x + 32, y))?;
        x += 32 + (label.chars().count() as f64 * LETTER) as i32 + 28;
    }
    Ok(())
}

/// A number on an axis: `1.2M`, `12k`, `1,200`, `12.5`.
fn number(n: f64) -> String {
    let plain = |n: f64, suffix: &str| {
        let text = format!("{n:.2}");
        format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match n.abs() {
        a if a >= 1e9 => plain(n / 1e9, "G"),
        a if a >= 1e6 => plain(n / 1e6, "M"),
        a if a >= 1e4 => plain(n / 1e3, "k"),
        _ => plain(n, ""),
    }
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
    use rstest::rstest;

    #[rstest]
    #[case(0.0, "0")]
    #[case(12.5, "12.5")]
    #[case(1200.0, "1200")]
    #[case(12_000.0, "12k")]
    #[case(1_250_000.0, "1.25M")]
    fn numbers_on_axes(#[case] n: f64, #[case] text: &str) {
        assert_eq!(number(n), text);
    }

    #[test]
    fn a_step_stays_until_it_jumps() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, 3.0)];
        assert_eq!(steps(points.into_iter(), 4.0), [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0), (4.0, 3.0)]);
    }
}
