//! The learning curve: a column for the arms of one name, so that a person sees at one glance what
//! happened: what the policies were worth, how undecided they were, how the weights of the loss
//! moved, what acting apart cost, and where the joint policy leaned on what no agent can have.
//!
//! What every arm has comes first; arms without a joint policy end there.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::algo::Metrics;
use crate::config::ArmName;
use crate::env::Task;
use crate::team::Choice;
use crate::train::{ArmOutcome, Outcome, Record};

/// Pixels.
const COLUMN: u32 = 380;
const MARGIN: u32 = 16;
/// Height of the title above its subtitle's lines, and of a line.
const TITLE: u32 = 36;
const LINE: u32 = 20;
/// Pixels that a letter of the subtitle takes, on average and a little more.
const LETTER: usize = 8;
/// Heights of the panels, top to bottom; the first [`COMMON`] are every arm's.
const PANELS: [u32; 6] = [270, 170, 170, 170, 170, 170];
const COMMON: usize = 3;
/// Height of a panel's caption and of the legend below it.
const HEAD: u32 = 44;

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

/// Draws the records of every arm as SVG; `names`: the arms', in order; `act`: how the team acts, so
/// that what acting apart costs is the joint policy's return less that team's.
pub fn draw(task: &Task, names: &[ArmName], act: Choice, outcome: &Outcome) -> String {
    let columns = columns(names, outcome);
    let mut svg = String::new();
    let has_joint = columns.iter().any(|column| column.name.has_joint());
    let rows = if has_joint { PANELS.len() } else { COMMON };
    let width = COLUMN * columns.len() as u32;
    let title = Title {
        name: task.name(),
        lines: wrapped(
            &format!("{}; by environment steps of each arm", task.description()),
            width as usize / LETTER,
        ),
    };
    let size = (
        width + 2 * MARGIN,
        title.height() + PANELS[..rows].iter().sum::<u32>() + 2 * MARGIN,
    );
    let page = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw_page(page, task, &title, &columns, act, outcome)
        .expect("drawing into a string cannot fail");
    svg
}

/// What stands above the columns.
struct Title<'a> {
    name: &'a str,
    lines: Vec<String>,
}

impl Title<'_> {
    fn height(&self) -> u32 {
        TITLE + LINE * self.lines.len() as u32
    }

    fn draw(&self, area: &Panel<'_>) -> Result {
        let heading = ("sans-serif", 27).into_font();
        area.draw_text(self.name, &heading.into_text_style(area), (6, 2))?;
        let note = ("sans-serif", 16).into_font().color(&GREY);
        let style = note.into_text_style(area);
        for (line, text) in self.lines.iter().enumerate() {
            area.draw_text(text, &style, (6, 28 + line as i32 * LINE as i32))?;
        }
        Ok(())
    }
}

/// The words of `text` in lines of at most `width` letters, a longer word in one of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let letters = |text: &str| text.chars().count();
        match lines.last_mut() {
            Some(line) if letters(line) + 1 + letters(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One column a name, in order of appearance. Bold is the kept arm, else the best evaluated.
fn columns<'a>(names: &[ArmName], outcome: &'a Outcome) -> Vec<Column<'a>> {
    let score = |arm: usize| {
        // Whoever stood in a later round did better in the one before; means of different rounds
        // do not compare.
        let rounds = outcome.selection.rounds.iter().enumerate();
        let mut stood = rounds.filter_map(|(round, arms)| Some((round, arms[arm]?.mean)));
        (arm == outcome.selection.chosen, stood.next_back())
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

fn draw_page(
    page: Panel<'_>,
    task: &Task,
    title: &Title<'_>,
    columns: &[Column<'_>],
    act: Choice,
    outcome: &Outcome,
) -> Result {
    page.fill(&WHITE)?;
    let page = page.margin(MARGIN, MARGIN, MARGIN, MARGIN);
    let (above, body) = page.split_vertically(title.height());
    title.draw(&above)?;
    let range = returns_range(task, &outcome.arms);
    for (area, column) in body.split_evenly((1, columns.len())).iter().zip(columns) {
        draw_column(area, column, task, act, range)?;
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

/// The panels of one column.
fn draw_column(
    area: &Panel<'_>,
    column: &Column<'_>,
    task: &Task,
    act: Choice,
    range: (f64, f64),
) -> Result {
    let mut rest = area.clone();
    let panels = PANELS.map(|height| {
        let (panel, below) = rest.split_vertically(height);
        rest = below;
        panel
    });
    let arms = column.arms.iter();
    let records = arms.flat_map(|&arm| &column.outcome.arms[arm].records);
    let last = records.map(|record| record.env_steps).max().unwrap_or(1) as f64;
    let mut returns = [
        column.lines("joint", BLUE, joint_value),
        column.lines("product", ORANGE, |record| Some(record.values?.product)),
        column.lines("greedy", GREEN, |record| Some(record.values?.greedy)),
    ]
    .concat();
    if let Some(optimum) = task.optimum() {
        returns.push(level("optimum", optimum, last));
    }
    draw_panel(&panels[0], &column.heading(), last, range, &returns)?;

    if column.name.is_off_policy() {
        return draw_off_policy(&panels, column, last);
    }
    let joint = column.name.has_joint();
    let mut entropies = column.lines("product", ORANGE, |record| {
        Some(record.metrics.product_entropy)
    });
    if joint {
        entropies.extend(column.lines("joint", BLUE, |record| {
            acting(record).map(|metrics| metrics.joint_entropy)
        }));
    }
    // That of a density can be below 0.
    let (low, high) = span(&entropies);
    let scale = (low.min(0.0), high.max(0.1));
    draw_panel(&panels[1], "entropy [nat]", last, scale, &entropies)?;

    let tau = column.lines("τ", ORANGE, |record| Some(record.metrics.tau));
    let unit = (0.0, span(&tau).1.max(1.0));
    if !joint {
        return draw_panel(&panels[2], "temperature τ", last, unit, &tau);
    }
    let beta = column.lines("β", BLUE, |record| Some(record.metrics.beta));
    let weights = [beta, tau].concat();
    let caption = "share β of the product, temperature τ";
    draw_panel(&panels[2], caption, last, unit, &weights)?;

    let difference = match act {
        Choice::Greedy => "joint − greedy",
        Choice::Sampled => "joint − product",
    };
    let mut price = column.lines(difference, RED, |record| price_of(record, act));
    let (low, high) = span(&price);
    if low <= high {
        price.push(level("none", 0.0, last));
    }
    let scale = (low.min(0.0), high.max(0.0));
    let caption = "price of acting apart [return]";
    draw_panel(&panels[3], caption, last, scale, &price)?;

    let divergences = [
        column.lines("TC", PURPLE, |record| {
            acting(record).map(|metrics| metrics.total_correlation)
        }),
        column.lines("IG", RED, |record| {
            acting(record).map(|metrics| metrics.information_gap)
        }),
    ]
    .concat();
    let scale = (0.0, span(&divergences).1.max(0.1));
    let caption = "total correlation, information gap [nat]";
    draw_panel(&panels[4], caption, last, scale, &divergences)?;

    let lambda = column.lines("log₁₀ λ", GREEN, |record| {
        (record.metrics.lambda > 0.0).then(|| record.metrics.lambda.log10())
    });
    let (low, high) = span(&lambda);
    let scale = (low.min(-3.0), high.max(2.0));
    draw_panel(
        &panels[5],
        "weight λ of the divergence",
        last,
        scale,
        &lambda,
    )
}

/// What an off-policy arm measures: how wrong its value is about its targets, and how it explores.
fn draw_off_policy(panels: &[Panel<'_>], column: &Column<'_>, last: f64) -> Result {
    let errors = column.lines("error", RED, |record| Some(record.metrics.value_error));
    let scale = (0.0, span(&errors).1.max(1e-3));
    let caption = "squared error of the value [reward deviations²]";
    draw_panel(&panels[1], caption, last, scale, &errors)?;
    let epsilon = column.lines("ε", ORANGE, |record| Some(record.metrics.epsilon));
    let caption = "share ε of actions taken at random";
    draw_panel(&panels[2], caption, last, (0.0, 1.0), &epsilon)
}

/// What was measured while the joint policy still had a part in acting (β < 1): afterwards it is no
/// longer asked, and the numbers about it are 0.
fn acting(record: &Record) -> Option<&Metrics> {
    (record.metrics.beta < 1.0).then_some(&record.metrics)
}

/// J(π_J) while it still had that part: afterwards the joint policy learns no more and the product
/// goes on, so that their difference is no price of anything.
fn joint_value(record: &Record) -> Option<f64> {
    acting(record)?;
    record.values?.joint
}

/// What acting apart costs a team that acts like this.
fn price_of(record: &Record, act: Choice) -> Option<f64> {
    Some(joint_value(record)? - record.values?.of(act))
}

/// A grey line at one height.
fn level(name: &'static str, height: f64, last: f64) -> Series {
    Series {
        name,
        named: true,
        style: GREY.stroke_width(1),
        points: vec![(0.0, height), (last, height)],
    }
}

/// One panel: a caption, a legend that is in no line's way, axes, and what lines have points. No
/// axes where none has.
fn draw_panel(
    panel: &Panel<'_>,
    caption: &str,
    last: f64,
    (low, high): (f64, f64),
    series: &[Series],
) -> Result {
    let (head, body) = panel.split_vertically(HEAD);
    let font = ("sans-serif", 16).into_font();
    head.draw_text(caption, &font.into_text_style(&head), (52, 4))?;
    let drawn: Vec<&Series> = series.iter().filter(|s| !s.points.is_empty()).collect();
    let small = ("sans-serif", 14).into_font();
    if drawn.is_empty() {
        let note = small.color(&GREY);
        return head.draw_text("not measured", &note.into_text_style(&head), (52, 24));
    }
    let mut x = 52;
    for series in drawn.iter().filter(|series| series.named) {
        head.draw(&PathElement::new([(x, 31), (x + 14, 31)], series.style))?;
        head.draw_text(
            series.name,
            &small.clone().into_text_style(&head),
            (x + 18, 24),
        )?;
        // Seven pixels a letter are enough at this size, and four entries fit a column.
        x += 34 + 7 * series.name.chars().count() as i32;
    }

    let (low, high) = apart(low, high);
    let margin = (high - low) * 0.05;
    let mut chart = ChartBuilder::on(&body)
        .margin(2)
        .margin_right(14)
        .x_label_area_size(22)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..last.max(1.0), low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.15))
        .x_labels(4)
        .y_labels(5)
        .x_label_formatter(&|&steps| thousands(steps))
        // Rounded, so that neither `10.0` nor `0.30000000000000004` is written.
        .y_label_formatter(&|value| ((value * 1e6).round() / 1e6 + 0.0).to_string())
        .label_style(("sans-serif", 14))
        .draw()?;
    for series in drawn {
        let points = series.points.iter().copied();
        chart.draw_series(LineSeries::new(points, series.style))?;
        if let [point] = series.points[..] {
            let dot = series.style.filled();
            chart.draw_series([Circle::new(point, 2, dot)])?;
        }
    }
    Ok(())
}

/// Ends of an axis that labels can be put on: finite, and further apart than rounding.
fn apart(low: f64, high: f64) -> (f64, f64) {
    let (low, high) = match low.is_finite() && high.is_finite() && low <= high {
        true => (low, high),
        false => (0.0, 1.0),
    };
    let least = 1e-3_f64.max(1e-6 * low.abs().max(high.abs()));
    if high - low < least {
        (low - least, high + least)
    } else {
        (low, high)
    }
}

/// What returns span in all arms, the optimum included: one scale, so that arms compare.
fn returns_range(task: &Task, arms: &[ArmOutcome]) -> (f64, f64) {
    let records = arms.iter().flat_map(|arm| &arm.records);
    let values = records.filter_map(|record| record.values);
    let returns =
        values.flat_map(|values| [values.joint, Some(values.product), Some(values.greedy)]);
    ends(returns.chain([task.optimum()]).flatten())
}

/// The lowest and the highest value; ∞ and −∞ where there is none.
fn span(series: &[Series]) -> (f64, f64) {
    let points = series.iter().flat_map(|series| &series.points);
    ends(points.map(|&(_, value)| value))
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values = values.filter(|value| value.is_finite());
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Values;

    #[test]
    fn a_joint_policy_that_has_handed_over_has_no_price() {
        let record = |beta| Record {
            arm: 0,
            env_steps: 1,
            metrics: Metrics {
                beta,
                ..Metrics::default()
            },
            values: Some(Values {
                joint: Some(5.0),
                product: 3.0,
                greedy: 1.0,
            }),
        };
        assert_eq!(price_of(&record(0.5), Choice::Greedy), Some(4.0));
        assert_eq!(price_of(&record(0.5), Choice::Sampled), Some(2.0));
        assert_eq!(price_of(&record(1.0), Choice::Sampled), None);
        assert_eq!(joint_value(&record(1.0)), None);
    }

    #[test]
    fn a_subtitle_stays_within_its_picture() {
        let text = "two robots of one kind, fetching";
        assert_eq!(wrapped(text, 40), [text]);
        let lines = ["two robots", "of one", "kind,", "fetching"];
        assert_eq!(wrapped(text, 10), lines);
        assert_eq!(wrapped("unbreakable word", 4), ["unbreakable", "word"]);
    }

    #[test]
    fn axes_are_finite_and_wide_enough_for_labels() {
        let endless = [
            (f64::INFINITY, f64::NEG_INFINITY),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
        ];
        for (low, high) in endless {
            assert_eq!(apart(low, high), (0.0, 1.0));
        }
        for value in [0.0, -6.0, 1e12, -1e12] {
            let (low, high) = apart(value, value);
            assert!(low < value && value < high && high - low >= value.abs() * 1e-6);
        }
        assert_eq!(apart(-5.0, 5.0), (-5.0, 5.0));
    }
}
