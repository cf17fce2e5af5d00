//! How the cost grows with the scalers, as a picture: a panel a figure, both axes logarithmic.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measure::{Figures, quantile};

const SIZE: (u32, u32) = (960, 640);
const MIB: f64 = 1024.0 * 1024.0;
const BLUE: RGBColor = RGBColor(0x2d, 0x6c, 0xdf);
const GREY: RGBColor = RGBColor(0x9a, 0xa4, 0xb2);
const FONT: &str = "sans-serif";

/// What a panel shows, and what it is not to be above.
struct Panel {
    title: &'static str,
    goal: f64,
    of: fn(&Figures) -> f64,
}

const PANELS: [Panel; 4] = [
    Panel { title: "Processor, cores", goal: 0.5, of: |f| f.cpu },
    Panel { title: "Resident memory, MiB", goal: 400.0, of: |f| f.memory / MIB },
    Panel { title: "Start until all is observed, s", goal: 60.0, of: |f| f.again },
    Panel {
        title: "Onset until the write, 99th percentile, s",
        goal: 16.0,
        of: |f| quantile(&f.onsets, 0.99),
    },
];

/// Draws the figures.
///
/// # Errors
/// When the picture cannot be made, in words.
pub fn svg(all: &[Figures]) -> Result<String, String> {
    let mut out = String::new();
    draw(all, &mut out).map_err(|e| e.to_string())?;
    Ok(out)
}

fn draw(all: &[Figures], out: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (panel, area) in PANELS.iter().zip(root.split_evenly((2, 2))) {
        draw_panel(panel, all, &area)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(
    panel: &Panel,
    all: &[Figures],
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let points: Vec<(f64, f64)> = all
        .iter()
        .map(|f| (f.scalers as f64, (panel.of)(f)))
        .filter(|(_, value)| value.is_finite() && *value > 0.0)
        .collect();
    let least = points.iter().map(|(_, v)| *v).fold(panel.goal, f64::min);
    let most = points.iter().map(|(_, v)| *v).fold(panel.goal, f64::max);
    let (from, until) =
        points.iter().fold((100.0, 10_000.0), |(a, b): (f64, f64), (n, _)| (a.min(*n), b.max(*n)));
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, (FONT, 16))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(56)
        .build_cartesian_2d((from * 0.8..until * 1.25).log_scale(), (least * 0.6..most * 1.6).log_scale())?;
    chart.configure_mesh().x_desc("scalers").light_line_style(WHITE).label_style((FONT, 12)).draw()?;
    chart.draw_series(LineSeries::new(
        [(from * 0.8, panel.goal), (until * 1.25, panel.goal)],
        GREY.stroke_width(2),
    ))?;
    chart.draw_series(LineSeries::new(points.iter().copied(), BLUE.stroke_width(2)))?;
    chart.draw_series(points.iter().map(|p| Circle::new(*p, 4, BLUE.filled())))?;
    Ok(())
}
