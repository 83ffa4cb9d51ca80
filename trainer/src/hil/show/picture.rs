//! An episode as an animated SVG: the host on the left, a device an agent on the right.

use std::fmt::Write as _;

use super::{Scene, Seat, View};

/// Seconds that a step stands.
const STEP: f64 = 1.2;
const ROW: usize = 64;
const TOP: usize = 56;
const WIDTH: usize = 760;

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
        let height = TOP + agents * ROW + 16;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"monospace\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n\
             <rect x=\"16\" y=\"{TOP}\" width=\"112\" height=\"{}\" rx=\"6\" fill=\"#161b22\" stroke=\"#8b949e\"/>\n\
             <text x=\"72\" y=\"{}\" fill=\"#e6edf3\" text-anchor=\"middle\">environment</text>\n",
            agents * ROW - 8,
            TOP + agents * ROW / 2,
        );
        for (agent, board) in self.boards.iter().enumerate() {
            let y = TOP + agent * ROW;
            let _ = writeln!(
                svg,
                "<path d=\"M128 {wire} H 480\" stroke=\"#30363d\" stroke-width=\"2\"/>\
                 <rect x=\"480\" y=\"{y}\" width=\"264\" height=\"{}\" rx=\"6\" fill=\"#161b22\" stroke=\"#3fb950\"/>\
                 <text x=\"492\" y=\"{}\" fill=\"#8b949e\">agent {agent} · {}</text>",
                ROW - 8,
                y + 20,
                escaped(board),
                wire = y + ROW / 2 - 4,
            );
        }
        for (index, step) in self.steps.iter().enumerate() {
            self.frame(&mut svg, index, step);
        }
        svg + "</svg>\n"
    }

    fn frame(&self, svg: &mut String, index: usize, step: &Step) {
        let steps = self.steps.len();
        let last = index + 1 == steps;
        let (from, to) = (
            index as f64 / steps as f64,
            (index + 1) as f64 / steps as f64,
        );
        // Whoever shows no animation shows the last step.
        let _ = write!(
            svg,
            "<g opacity=\"{}\"><animate attributeName=\"opacity\" calcMode=\"discrete\" dur=\"{:.1}s\" repeatCount=\"indefinite\" \
             values=\"0;1;0\" keyTimes=\"0;{from:.4};{to:.4}\"/>",
            u8::from(last),
            STEP * steps as f64,
        );
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"32\" fill=\"#e6edf3\">{}  episode {}  step {}  return {:+.2}</text>",
            escaped(&self.title),
            step.episode,
            step.tick,
            step.sum
        );
        for (agent, seat) in step.seats.iter().enumerate() {
            let y = TOP + agent * ROW;
            let (state, colour) = match &seat.fault {
                None => (format!("state {:016x} = host", seat.hash), "#3fb950"),
                Some(fault) => (fault.clone(), "#f85149"),
            };
            let _ = writeln!(
                svg,
                "<text x=\"140\" y=\"{}\" fill=\"#58a6ff\">sees {} →</text>\
                 <text x=\"468\" y=\"{}\" fill=\"#d29922\" text-anchor=\"end\">← acts {}</text>\
                 <text x=\"492\" y=\"{}\" fill=\"{colour}\">{}</text>",
                y + 20,
                seat.saw,
                y + 46,
                escaped(&seat.did),
                y + 42,
                escaped(&state),
            );
        }
        svg.push_str("</g>\n");
    }
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
