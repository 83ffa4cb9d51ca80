//! Lines with bands, a panel each: small SVGs beside a table.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::aggregate::Estimate;

/// Pixels of a panel.
const SIZE: (u32, u32) = (560, 340);

const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// A palette that survives colour blindness (Okabe & Ito 2008), then again from the start.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x44, 0x44, 0x44),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// One line: points by x, each with its interval.
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// In order of x.
    pub points: Vec<(f64, Estimate)>,
}

/// A panel of lines.
pub struct Chart {
    /// Above the panel.
    pub caption: String,
    /// Under the axis of x.
    pub x: &'static str,
    /// Beside the axis of y.
    pub y: &'static str,
    /// Where the axis of y ends, if not where the lines do.
    pub range: Option<(f64, f64)>,
    /// The lines, in the order of the legend.
    pub lines: Vec<Line>,
}

impl Chart {
    /// The SVG; none where no line has a point.
    pub fn draw(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let last = points().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max);
        let first = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        if first > last {
            return None;
        }
        let low = points()
            .map(|(_, y)| y.interval.low)
            .fold(f64::INFINITY, f64::min);
        let high = points()
            .map(|(_, y)| y.interval.high)
            .fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = self.range.unwrap_or((low, high));
        let margin = ((high - low) * 0.04).max(1e-3);
        let ends = [first, last.max(first + 1e-9), low - margin, high + margin];
        let mut svg = String::new();
        let page = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw_on(&page, ends)
            .expect("drawing into a string cannot fail");
        drop(page);
        Some(svg)
    }

    fn draw_on(&self, page: &Area<'_>, [first, last, low, high]: [f64; 4]) -> Drawn {
        page.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(page)
            .caption(&self.caption, ("sans-serif", 17))
            .margin(8)
            .margin_right(18)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(first..last, low..high)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.15))
            .x_labels(5)
            .y_labels(6)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (line, &colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let upper = line.points.iter().map(|(x, y)| (*x, y.interval.high));
            let lower = line.points.iter().rev().map(|(x, y)| (*x, y.interval.low));
            let band: Vec<(f64, f64)> = upper.chain(lower).collect();
            chart.draw_series([Polygon::new(band, colour.mix(0.15))])?;
            let style = colour.stroke_width(2);
            let points = line.points.iter().map(|(x, y)| (*x, y.value));
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 13))
            .draw()?;
        page.present()
    }
}

/// A number on an axis: `250 k`, or rounded, so that `0.30000000000000004` is not written.
fn short(number: f64) -> String {
    let rounded = |number: f64| (number * 1e4).round() / 1e4 + 0.0;
    match number.abs() {
        size if size >= 1e6 => format!("{} M", rounded(number / 1e6)),
        size if size >= 1e4 => format!("{} k", rounded(number / 1e3)),
        _ => rounded(number).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::Interval;

    #[test]
    fn every_line_is_drawn_with_its_name_and_its_band() {
        let at = |value: f64| Estimate {
            value,
            interval: Interval {
                low: value - 0.1,
                high: value + 0.1,
            },
        };
        let line = |name: &str| Line {
            name: name.to_owned(),
            points: vec![(0.0, at(0.2)), (20_000.0, at(0.8))],
        };
        let mut chart = Chart {
            caption: "all tasks".to_owned(),
            x: "environment steps",
            y: "score",
            range: None,
            lines: vec![line("coma"), line("mappo")],
        };
        let svg = chart.draw().unwrap();
        assert!(svg.contains("coma") && svg.contains("mappo") && svg.contains("20 k"));
        assert_eq!(svg.matches("<polygon").count(), 2);
        chart.lines.iter_mut().for_each(|line| line.points.clear());
        assert_eq!(chart.draw(), None);
    }

    #[test]
    fn axes_are_written_short() {
        let found = [0.1 + 0.2, 2_500_000.0, 20_000.0, -3.0].map(short);
        assert_eq!(found, ["0.3", "2.5 M", "20 k", "-3"]);
    }
}
