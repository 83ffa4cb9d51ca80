//! The learning curve: a column for the arms of one name, four panels each, so that a person sees
//! at one glance what happened: what the policies were worth, where the joint policy leaned on what no agent
//! can have, and how the weights of the loss moved.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::config::ArmName;
use crate::env::Task;
use crate::train::{ArmOutcome, Outcome, Record};

/// Pixels.
const COLUMN: u32 = 380;
const MARGIN: u32 = 16;
const TITLE: u32 = 56;
const PANELS: [u32; 4] = [250, 150, 150, 150];

const BLUE: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const ORANGE: RGBColor = RGBColor(0xe6, 0x7e, 0x22);
const GREEN: RGBColor = RGBColor(0x2c, 0x9c, 0x4b);
const RED: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
const PURPLE: RGBColor = RGBColor(0x7d, 0x5b, 0xa6);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Result<T = ()> = std::result::Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// One line of a panel.
#[derive(Clone)]
struct Series {
    name: &'static str,
    style: ShapeStyle,
    /// Whether the line is named in the panel's legend.
    named: bool,
    points: Vec<(f64, f64)>,
}

/// The arms of one name; `bold`: the one to look at.
struct Column<'a> {
    name: ArmName,
    arms: Vec<usize>,
    bold: usize,
    kept: bool,
    outcome: &'a Outcome,
}

/// Draws the records of every arm as SVG; `names`: the arms', in order.
pub fn draw(task: &Task, names: &[ArmName], outcome: &Outcome) -> String {
    let columns = columns(names, outcome);
    let mut svg = String::new();
    let size = (
        COLUMN * columns.len() as u32 + 2 * MARGIN,
        TITLE + PANELS.iter().sum::<u32>() + 2 * MARGIN,
    );
    let page = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw_page(page, task, &columns, outcome).expect("drawing into a string cannot fail");
    svg
}

/// One column a name, in order of appearance. Bold is the kept arm, else the best evaluated.
fn columns<'a>(names: &[ArmName], outcome: &'a Outcome) -> Vec<Column<'a>> {
    let score = |arm: usize| {
        let evaluation = outcome.selection.evaluations[arm];
        let mean = evaluation.map_or(f64::NEG_INFINITY, |evaluation| evaluation.mean);
        (arm == outcome.selection.chosen, mean)
    };
    let mut columns: Vec<Column<'a>> = Vec::new();
    for (arm, &name) in names.iter().enumerate() {
        match columns.iter_mut().find(|column| column.name == name) {
            Some(column) => column.arms.push(arm),
            None => columns.push(Column {
                name,
                arms: vec![arm],
                bold: arm,
                kept: false,
                outcome,
            }),
        }
    }
    for column in &mut columns {
        for &arm in &column.arms {
            if score(arm) > score(column.bold) {
                column.bold = arm;
            }
        }
        column.kept = column.bold == outcome.selection.chosen;
    }
    columns
}

fn draw_page(page: Panel<'_>, task: &Task, columns: &[Column<'_>], outcome: &Outcome) -> Result {
    page.fill(&WHITE)?;
    let page = page.margin(MARGIN, MARGIN, MARGIN, MARGIN);
    let (title, body) = page.split_vertically(TITLE);
    let heading = ("sans-serif", 27).into_font();
    title.draw_text(task.name(), &heading.into_text_style(&title), (6, 2))?;
    let note = ("sans-serif", 16).into_font().color(&GREY);
    let subtitle = format!("{}; by environment steps of each arm", task.description());
    title.draw_text(&subtitle, &note.into_text_style(&title), (6, 28))?;
    let range = returns_range(task, &outcome.arms);
    for (area, column) in body.split_evenly((1, columns.len())).iter().zip(columns) {
        draw_column(area, column, task, range)?;
    }
    page.present()
}

impl Column<'_> {
    fn heading(&self) -> String {
        let (name, number) = (self.name, self.bold + 1);
        match (self.arms.len(), self.kept) {
            (1, true) => format!("arm {number}, {name} (kept)"),
            (1, false) => format!("arm {number}, {name}"),
            (count, true) => format!("{count} arms, {name}; bold: arm {number} (kept)"),
            (count, false) => format!("{count} arms, {name}; bold: arm {number}"),
        }
    }

    /// The line of `value` for every arm: faint, the bold one last and on top.
    fn lines(
        &self,
        name: &'static str,
        colour: RGBColor,
        value: impl Fn(&Record) -> Option<f64>,
    ) -> Vec<Series> {
        let faint = self.arms.iter().filter(|&&arm| arm != self.bold);
        let series = |&arm: &usize| {
            let records = self.outcome.arms[arm].records.iter();
            let bold = arm == self.bold;
            Series {
                name,
                named: bold,
                style: if bold {
                    colour.stroke_width(2)
                } else {
                    colour.mix(0.25).stroke_width(1)
                },
                points: records
                    .filter_map(|record| Some((record.env_steps as f64, value(record)?)))
                    .filter(|(_, value)| value.is_finite())
                    .collect(),
            }
        };
        faint.chain([&self.bold]).map(series).collect()
    }
}

/// The four panels of one column, of which arms without a joint policy fill two.
fn draw_column(area: &Panel<'_>, column: &Column<'_>, task: &Task, range: (f64, f64)) -> Result {
    let mut rest = area.clone();
    let panels = PANELS.map(|height| {
        let (panel, below) = rest.split_vertically(height);
        rest = below;
        panel
    });
    let records = &column.outcome.arms[column.bold].records;
    let last = records.last().map_or(1.0, |record| record.env_steps as f64);
    let mut returns = [
        column.lines("joint", BLUE, |record| record.values?.joint),
        column.lines("product", ORANGE, |record| Some(record.values?.product)),
        column.lines("greedy", GREEN, |record| Some(record.values?.greedy)),
    ]
    .concat();
    if let Some(optimum) = task.optimum() {
        returns.push(Series {
            name: "optimum",
            named: true,
            style: GREY.stroke_width(1),
            points: vec![(0.0, optimum), (last, optimum)],
        });
    }
    draw_panel(&panels[0], &column.heading(), last, range, &returns)?;

    if !column.name.has_joint() {
        let tau = column.lines("τ", ORANGE, |record| Some(record.metrics.tau));
        return draw_panel(&panels[2], "temperature τ", last, (0.0, 1.0), &tau);
    }
    let divergences = [
        column.lines("TC", PURPLE, |record| {
            Some(record.metrics.total_correlation)
        }),
        column.lines("IG", RED, |record| Some(record.metrics.information_gap)),
    ]
    .concat();
    let top = highest(&divergences).max(0.1);
    let caption = "total correlation, information gap [nat]";
    draw_panel(&panels[1], caption, last, (0.0, top), &divergences)?;

    let weights = [
        column.lines("β", BLUE, |record| Some(record.metrics.beta)),
        column.lines("τ", ORANGE, |record| Some(record.metrics.tau)),
    ]
    .concat();
    draw_panel(
        &panels[2],
        "share β of the product, temperature τ",
        last,
        (0.0, 1.0),
        &weights,
    )?;

    let lambda = column.lines("λ", GREEN, |record| {
        (record.metrics.lambda > 0.0).then(|| record.metrics.lambda.log10())
    });
    draw_panel(
        &panels[3],
        "weight of the divergence, log₁₀ λ",
        last,
        (-3.0, 2.0),
        &lambda,
    )
}

/// One panel: a caption, axes, and what lines have points.
fn draw_panel(
    panel: &Panel<'_>,
    caption: &str,
    last: f64,
    (low, high): (f64, f64),
    series: &[Series],
) -> Result {
    let margin = (high - low) * 0.05;
    let mut chart = ChartBuilder::on(panel)
        .caption(caption, ("sans-serif", 16))
        .margin(6)
        .margin_right(14)
        .x_label_area_size(22)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..last, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.15))
        .x_labels(4)
        .y_labels(5)
        .x_label_formatter(&|&steps| thousands(steps))
        // Rounded, so that neither `10.0` nor `0.30000000000000004` is written.
        .y_label_formatter(&|value| ((value * 1e6).round() / 1e6).to_string())
        .label_style(("sans-serif", 14))
        .draw()?;
    for series in series.iter().filter(|series| !series.points.is_empty()) {
        let style = series.style;
        let line = chart.draw_series(LineSeries::new(series.points.iter().copied(), style))?;
        if series.named {
            line.label(series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 14))
        .draw()
}

/// What returns span in all arms, the optimum included: one scale, so that arms compare.
fn returns_range(task: &Task, arms: &[ArmOutcome]) -> (f64, f64) {
    let records = arms.iter().flat_map(|arm| &arm.records);
    let values = records.filter_map(|record| record.values);
    let returns =
        values.flat_map(|values| [values.joint, Some(values.product), Some(values.greedy)]);
    let (low, high) = returns
        .chain([task.optimum()])
        .flatten()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low < high {
        (low, high)
    } else {
        (low.min(high).min(0.0), high.max(low).max(1.0))
    }
}

fn highest(series: &[Series]) -> f64 {
    let values = series.iter().flat_map(|series| &series.points);
    values.fold(0.0, |highest: f64, &(_, value)| highest.max(value))
}

/// Steps as `20 k`.
fn thousands(steps: f64) -> String {
    if steps >= 1e6 {
        format!("{} M", steps / 1e6)
    } else if steps >= 1e3 {
        format!("{} k", steps / 1e3)
    } else {
        format!("{steps}")
    }
}
