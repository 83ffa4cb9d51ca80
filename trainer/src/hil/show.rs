//! Looking on while a fleet acts.

mod picture;

use std::io::{self, Write};

use super::device::Done;
use super::reference::Acted;

pub use picture::Picture;

/// Someone who looks on.
pub trait View {
    /// A step was taken.
    fn step(&mut self, scene: &Scene<'_>);
}

/// A step of the whole team.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The episode.
    pub episode: u64,
    /// The step of it.
    pub tick: usize,
    /// What it paid.
    pub reward: f32,
    /// What the episode has paid so far.
    pub sum: f64,
    /// The agents.
    pub seats: &'a [Seat],
}

/// One agent at one step.
#[derive(Clone, Debug)]
pub struct Seat {
    /// What it saw.
    pub saw: Vec<f32>,
    /// What it did.
    pub did: String,
    /// From its request to its answer, in µs; none of a dead device.
    pub round_trip_us: Option<u128>,
    /// On the device, in its unit.
    pub cost: u64,
    /// That unit.
    pub unit: &'static str,
    /// The hash of outputs and state.
    pub hash: u64,
    /// Why the action is the safe one.
    pub fault: Option<String>,
}

impl Seat {
    pub(super) fn new(saw: &[f32], done: &Done, unit: &'static str) -> Self {
        Self {
            saw: saw.to_vec(),
            did: words(&done.outcome.action),
            round_trip_us: Some(done.round_trip.as_micros()),
            cost: done.cost,
            unit,
            hash: done.outcome.hash,
            fault: done.outcome.fault.map(|fault| format!("{fault:?}")),
        }
    }

    pub(super) fn dead(saw: &[f32], safe: &Acted) -> Self {
        Self {
            saw: saw.to_vec(),
            did: words(safe),
            round_trip_us: None,
            cost: 0,
            unit: "",
            hash: 0,
            fault: Some("dead".to_owned()),
        }
    }
}

/// Values as bars, from −1 (lowest) to 1 (highest); what is no number as a cross.
fn bars(values: &[f32]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const MOST: usize = 24;
    let bar = |&value: &f32| match value.is_nan() {
        true => '×',
        false => BARS[(((value.clamp(-1.0, 1.0) + 1.0) / 2.0 * 7.0).round()) as usize],
    };
    let mut text: String = values.iter().take(MOST).map(bar).collect();
    if values.len() > MOST {
        text.push('…');
    }
    text
}

fn words(action: &Acted) -> String {
    match action {
        Acted::Number(number) => number.to_string(),
        Acted::Numbers(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
            numbers.join(" ")
        }
        Acted::Vector(vector) => {
            let numbers: Vec<_> = vector.iter().map(|value| format!("{value:+.2}")).collect();
            numbers.join(" ")
        }
    }
}

/// Draws each step over the last one, in a terminal.
pub struct Terminal<W> {
    out: W,
    boards: Vec<String>,
    pause: std::time::Duration,
    drawn: usize,
}

impl<W: Write> Terminal<W> {
    /// Draws to `out`, and waits after each step for whoever looks.
    pub fn new(out: W, boards: Vec<String>, pause: std::time::Duration) -> Self {
        Self {
            out,
            boards,
            pause,
            drawn: 0,
        }
    }

    fn draw(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        let mut text = format!(
            "{up}\x1b[2Kepisode {}  step {}  reward {:+.2}  return {:+.2}\n",
            scene.episode, scene.tick, scene.reward, scene.sum
        );
        for (agent, seat) in scene.seats.iter().enumerate() {
            let board = self.boards.get(agent).map_or("", String::as_str);
            let time = seat
                .round_trip_us
                .map_or("   –".to_owned(), |us| format!("{us:>4}"));
            text += &format!(
                "\x1b[2K  {agent} {board:<14} saw {:<26} did {:<14} {time} µs  {:016x}  {}\n",
                bars(&seat.saw),
                seat.did,
                seat.hash,
                seat.fault.as_deref().unwrap_or_default()
            );
        }
        self.drawn = 1 + scene.seats.len();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> View for Terminal<W> {
    fn step(&mut self, scene: &Scene<'_>) {
        // A terminal that is gone ends the drawing, not the run.
        let _ = self.draw(scene);
        std::thread::sleep(self.pause);
    }
}
