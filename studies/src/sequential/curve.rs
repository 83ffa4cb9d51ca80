//! Learning curves of one task as a small SVG: the methods beside each other on one scale.

use consort_trainer::report::count;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::cells::{Point, Run};
use super::design::{Goal, Row};

/// Pixels of a panel.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// What a line shows of a point.
type Value = fn(&Point) -> Option<f64>;

/// The lines of a panel, with their colours.
const LINES: [(&str, RGBColor, Value); 3] = [
    ("joint", RGBColor(0x1f, 0x77, 0xb4), |point| point.joint),
    ("product", RGBColor(0xe6, 0x7e, 0x22), |point| {
        Some(point.product)
    }),
    ("greedy", RGBColor(0x2c, 0x9c, 0x4b), |point| {
        Some(point.greedy)
    }),
];

/// Draws a panel for each method that has curves; `None` where none has.
pub(crate) fn draw(
    row: &Row,
    optimum: Option<f64>,
    methods: &[(&'static str, Vec<Run>)],
) -> Option<String> {
    let drawn: Vec<&(&str, Vec<Run>)> = methods
        .iter()
        .filter(|(_, runs)| points(runs).next().is_some())
        .collect();
    let all = drawn.iter().flat_map(|(_, runs)| points(runs));
    let goal = match row.goal {
        Goal::AtLeast(least) => Some(least),
        Goal::Optimum | Goal::Unset => optimum,
    };
    let values = all.flat_map(|point| LINES.map(|(.., value)| value(point)));
    let (low, high) = values
        .chain([goal])
        .flatten()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if drawn.is_empty() || low > high {
        return None;
    }
    let margin = ((high - low) * 0.05).max(1e-3);
    let range = (low - margin, high + margin);
    let mut svg = String::new();
    let size = (WIDTH * drawn.len() as u32, HEIGHT);
    let page = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw_page(&page, &drawn, goal, range).expect("drawing into a string cannot fail");
    drop(page);
    Some(svg)
}

fn points(runs: &[Run]) -> impl Iterator<Item = &Point> {
    let arms = runs.iter().flat_map(|run| &run.arms);
    arms.flat_map(|arm| &arm.points)
}

fn draw_page(
    page: &Panel<'_>,
    methods: &[&(&str, Vec<Run>)],
    goal: Option<f64>,
    range: (f64, f64),
) -> Drawn {
    page.fill(&WHITE)?;
    let panels = page.split_evenly((1, methods.len()));
    for (panel, (name, runs)) in panels.iter().zip(methods) {
        draw_panel(panel, name, runs, goal, range)?;
    }
    page.present()
}

/// Every arm of every run: the kept one on top, others faint.
fn draw_panel(
    panel: &Panel<'_>,
    name: &str,
    runs: &[Run],
    goal: Option<f64>,
    (low, high): (f64, f64),
) -> Drawn {
    let last = points(runs).map(|point| point.env_steps).max();
    let last = last.unwrap_or(1).max(1) as f64;
    let runs_in_words = match runs.len() {
        1 => "1 run".to_owned(),
        several => format!("{several} runs"),
    };
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("{name}, {runs_in_words}"), ("sans-serif", 15))
        .margin(6)
        .margin_right(14)
        .x_label_area_size(22)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..last, low..high)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.15))
        .x_labels(4)
        .y_labels(5)
        .x_label_formatter(&|&steps| in_thousands(steps))
        // Rounded, so that `0.30000000000000004` is not written.
        .y_label_formatter(&|value| ((value * 1e6).round() / 1e6).to_string())
        .label_style(("sans-serif", 13))
        .draw()?;
    if let Some(goal) = goal {
        let style = GREY.stroke_width(1);
        let line = chart.draw_series(LineSeries::new([(0.0, goal), (last, goal)], style))?;
        line.label("goal")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
    }
    for (name, colour, value) in LINES {
        let mut named = false;
        for kept in [false, true] {
            let arms = runs.iter().flat_map(|run| &run.arms);
            for arm in arms.filter(|arm| arm.kept == kept) {
                let of = |point: &Point| Some((point.env_steps as f64, value(point)?));
                let line: Vec<(f64, f64)> = arm.points.iter().filter_map(of).collect();
                if line.is_empty() {
                    continue;
                }
                let style = match kept {
                    true => colour.stroke_width(2),
                    false => colour.mix(0.25).stroke_width(1),
                };
                let drawn = chart.draw_series(LineSeries::new(line, style))?;
                if !named {
                    named = true;
                    let style = colour.stroke_width(2);
                    drawn
                        .label(name)
                        .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
                }
            }
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 13))
        .draw()
}

/// Steps as `20 k`.
fn in_thousands(steps: f64) -> String {
    match steps {
        steps if steps >= 1e6 => format!("{} M", steps / 1e6),
        steps if steps >= 1e3 => format!("{} k", count((steps / 1e3).round() as u64)),
        steps => steps.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequential::findings::tests::run;

    #[test]
    fn methods_have_a_panel_each_and_those_without_curves_none() {
        let row = Row::named("rware-tiny-2ag");
        let of = |method: &str| vec![run(row.task, method, 0, 5.0), run(row.task, method, 1, 6.0)];
        let bare = Run {
            arms: Vec::new(),
            ..run(row.task, "factored-strong", 0, 1.0)
        };
        let methods = [
            ("annealed", of("annealed")),
            ("factored-strong", vec![bare.clone()]),
            ("factored-mild", of("factored-mild")),
        ];
        let svg = draw(row, None, &methods).unwrap();
        assert!(svg.contains("annealed, 2 runs") && svg.contains("factored-mild, 2 runs"));
        assert!(!svg.contains("factored-strong") && svg.contains("goal"));
        assert!(svg.contains(&format!("width=\"{}\"", 2 * WIDTH)));
        // Only the annealed panel has a joint policy: two lines in its colour and the legend's.
        assert_eq!(svg.matches("#1F77B4").count(), 3, "{svg}");
        assert!(draw(row, None, &[("annealed", vec![bare])]).is_none());
    }
}
