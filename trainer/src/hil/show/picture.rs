//! An episode as an animated SVG: the host on the left, a device an agent on the right, and what the episode has paid below.

use std::fmt::Write as _;

use super::{Scene, Seat, View};

/// Seconds that a step stands.
const STEP: f64 = 1.2;

const WIDTH: usize = 860;
/// An agent's row, and where the first begins.
const ROW: usize = 76;
const TOP: usize = 60;
/// The host's box, where wires begin and end, and a device's box.
const MARGIN: usize = 20;
const FROM: usize = 180;
const TO: usize = 540;
/// What an agent sees: a bar a value.
const BARS: usize = 30;
const BAR: usize = 7;
const BAR_HEIGHT: f64 = 26.0;
/// The curve of what was paid.
const CURVE: usize = 44;

const TEXT: &str = "#e6edf3";
const QUIET: &str = "#8b949e";
const BOX: &str = "#161b22";
const SEEN: &str = "#58a6ff";
const DONE: &str = "#d29922";
const RIGHT: &str = "#3fb950";
const WRONG: &str = "#f85149";

/// Keeps the episodes' steps, up to so many, and draws them.
pub struct Picture {
    title: String,
    boards: Vec<String>,
    most: usize,
    steps: Vec<Step>,
}

struct Step {
    episode: u64,
    tick: usize,
    sum: f64,
    seats: Vec<Seat>,
}

impl Picture {
    /// Of the first `most` steps of a fleet.
    pub fn new(title: String, boards: Vec<String>, most: usize) -> Self {
        Self {
            title,
            boards,
            most,
            steps: Vec::new(),
        }
    }

    /// The file's text.
    pub fn svg(&self) -> String {
        let agents = self.boards.len();
        let (bottom, height) = (TOP + agents * ROW, TOP + agents * ROW + CURVE + 28);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,monospace\" font-size=\"13\">\n\
             <title>{title}: {agents} agents on {agents} devices</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#0d1117\"/>\n\
             <text x=\"{MARGIN}\" y=\"34\" fill=\"{TEXT}\" font-size=\"16\">{title}</text>\n\
             <text x=\"{end}\" y=\"34\" fill=\"{QUIET}\" text-anchor=\"end\">{agents} agents, {agents} devices: a link each to the host, none to another</text>\n\
             <rect x=\"{MARGIN}\" y=\"{TOP}\" width=\"{width}\" height=\"{tall}\" rx=\"8\" fill=\"{BOX}\" stroke=\"{QUIET}\"/>\n\
             <text x=\"100\" y=\"{middle}\" fill=\"{TEXT}\" text-anchor=\"middle\">environment</text>\n",
            title = escaped(&self.title),
            end = WIDTH - MARGIN,
            width = FROM - MARGIN,
            tall = agents * ROW - 12,
            middle = TOP + agents * ROW / 2 - 30,
        );
        for (agent, board) in self.boards.iter().enumerate() {
            device(&mut svg, agent, board);
        }
        let curve = self.curve(&mut svg, bottom);
        for (index, step) in self.steps.iter().enumerate() {
            self.frame(&mut svg, index, step, &curve);
        }
        svg + "</svg>\n"
    }

    /// Draws what was paid, step by step; its points.
    fn curve(&self, svg: &mut String, top: usize) -> Vec<(f64, f64)> {
        let sums = self.steps.iter().map(|step| step.sum);
        let (low, high) = sums.fold((0.0_f64, 0.0_f64), |(low, high), sum| {
            (low.min(sum), high.max(sum))
        });
        let scale = CURVE as f64 / (high - low).max(f64::MIN_POSITIVE);
        let across = (WIDTH - FROM - MARGIN) as f64 / self.steps.len().max(2) as f64;
        let points = self.steps.iter().enumerate().map(|(index, step)| {
            let x = FROM as f64 + (index as f64 + 0.5) * across;
            (x, (top + CURVE) as f64 - (step.sum - low) * scale)
        });
        let points: Vec<_> = points.collect();
        let line: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{}\" fill=\"{QUIET}\">return so far</text>\
             <polyline points=\"{}\" fill=\"none\" stroke=\"{QUIET}\" stroke-width=\"1.5\"/>",
            top + CURVE / 2 + 5,
            line.join(" "),
        );
        points
    }

    fn frame(&self, svg: &mut String, index: usize, step: &Step, curve: &[(f64, f64)]) {
        let steps = self.steps.len();
        let (from, to) = (
            index as f64 / steps as f64,
            (index + 1) as f64 / steps as f64,
        );
        // Whoever shows no animation shows the last step.
        let _ = write!(
            svg,
            "<g opacity=\"{}\"><animate attributeName=\"opacity\" calcMode=\"discrete\" dur=\"{:.1}s\" repeatCount=\"indefinite\" \
             values=\"0;1;0\" keyTimes=\"0;{from:.4};{to:.4}\"/>",
            u8::from(index + 1 == steps),
            STEP * steps as f64,
        );
        let middle = TOP + self.boards.len() * ROW / 2;
        let (x, y) = curve[index];
        let _ = writeln!(
            svg,
            "<text x=\"100\" y=\"{}\" fill=\"{QUIET}\" text-anchor=\"middle\">episode {}, step {}</text>\
             <text x=\"100\" y=\"{}\" fill=\"{TEXT}\" text-anchor=\"middle\">return {:+.2}</text>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{TEXT}\"/>",
            middle - 6,
            step.episode,
            step.tick,
            middle + 18,
            step.sum,
        );
        let (low, high) = self.range();
        for (agent, seat) in step.seats.iter().enumerate() {
            let y = TOP + agent * ROW;
            bars(svg, &seat.saw, (low, high), y + 30);
            let (state, colour) = match &seat.fault {
                None => (format!("{:016x} = host", seat.hash), RIGHT),
                Some(fault) => (fault.clone(), WRONG),
            };
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" fill=\"{DONE}\" text-anchor=\"end\">acts {}</text>\
                 <text x=\"{x}\" y=\"{}\" fill=\"{colour}\">{}</text>\
                 <text x=\"{x}\" y=\"{}\" fill=\"{QUIET}\" font-size=\"11\">{} {}</text>",
                TO - 14,
                y + 54,
                escaped(&seat.did),
                y + 38,
                escaped(&state),
                y + 55,
                crate::report::count(seat.cost),
                seat.unit,
                x = TO + 14,
            );
        }
        svg.push_str("</g>\n");
    }

    /// The least and the largest value that any agent sees, and 0.
    fn range(&self) -> (f32, f32) {
        let seats = self.steps.iter().flat_map(|step| &step.seats);
        let values = seats.flat_map(|seat| seat.saw.iter().copied());
        let finite = values.filter(|value| value.is_finite());
        finite.fold((0.0, 0.0), |(low, high), value| {
            (f32::min(low, value), f32::max(high, value))
        })
    }
}

/// A device, its wire, and what goes over it to and fro once a step.
fn device(svg: &mut String, agent: usize, board: &str) {
    let y = TOP + agent * ROW;
    let wire = y + 36;
    let _ = writeln!(
        svg,
        "<path d=\"M{FROM} {wire} H {TO}\" stroke=\"#30363d\" stroke-width=\"2\"/>\
         <rect x=\"{TO}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"{BOX}\" stroke=\"{RIGHT}\"/>\
         <text x=\"{}\" y=\"{}\" fill=\"{TEXT}\">agent {agent} · {}</text>",
        WIDTH - MARGIN - TO,
        ROW - 12,
        TO + 14,
        y + 20,
        escaped(board),
    );
    for (colour, way, times) in [
        (SEEN, [FROM, TO, TO], "0;0.3;1"),
        (DONE, [TO, TO, FROM], "0;0.5;0.8"),
    ] {
        let [a, b, c] = way;
        let _ = writeln!(
            svg,
            "<circle cx=\"{c}\" cy=\"{wire}\" r=\"4\" fill=\"{colour}\"><animate attributeName=\"cx\" dur=\"{STEP}s\" repeatCount=\"indefinite\" \
             values=\"{a};{b};{c};{c}\" keyTimes=\"{times};1\"/></circle>",
        );
    }
}

/// What an agent sees: values as bars from 0, those that are no number as crosses.
fn bars(svg: &mut String, values: &[f32], (low, high): (f32, f32), base: usize) {
    let scale = BAR_HEIGHT / f64::from((high - low).max(f32::MIN_POSITIVE));
    let zero = base as f64 + f64::from(low) * scale;
    let start = FROM + 14;
    for (index, &value) in values.iter().take(BARS).enumerate() {
        let x = start + index * (BAR + 2);
        if !value.is_finite() {
            let _ = write!(
                svg,
                "<text x=\"{x}\" y=\"{base}\" fill=\"{WRONG}\">×</text>"
            );
            continue;
        }
        let tall = f64::from(value).abs() * scale;
        let top = if value < 0.0 { zero } else { zero - tall };
        // What is 0 is seen too.
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{top:.1}\" width=\"{BAR}\" height=\"{:.1}\" fill=\"{SEEN}\"/>",
            tall.max(1.0),
        );
    }
    if values.len() > BARS {
        let x = start + BARS * (BAR + 2);
        let _ = write!(svg, "<text x=\"{x}\" y=\"{base}\" fill=\"{SEEN}\">…</text>");
    }
    svg.push('\n');
}

impl View for Picture {
    fn step(&mut self, scene: &Scene<'_>) {
        if self.steps.len() < self.most {
            self.steps.push(Step {
                episode: scene.episode,
                tick: scene.tick,
                sum: scene.sum,
                seats: scene.seats.to_vec(),
            });
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
