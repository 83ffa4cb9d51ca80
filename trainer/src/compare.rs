//! Methods side by side: every method on every task from every seed, each run given the same
//! environment steps, and what their images came to.
//!
//! A run is a [run folder](crate::run_folder) of its own, `runs/<task>.<method>.seed<N>`: a
//! comparison that was killed goes on from its runs and their checkpoints, and more methods, tasks
//! or seeds can be added to it.

pub mod marl_eval;
pub mod page;
mod result;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::atomic::{WriteError, is_temporary_of};
use crate::config::{Config, ConfigError, Layers};
use crate::env::Task;
use crate::env::decpomdp::file::EXTENSION;
use crate::error::Error;
use crate::run::{self, Watch};
use crate::run_folder::RunFolder;

pub use result::{CompareError, Point, Run};

/// What is compared.
#[derive(Clone, Debug)]
pub struct Design {
    /// The names of the tasks.
    pub tasks: Vec<String>,
    /// The names of the methods.
    pub methods: Vec<String>,
    /// Runs of a method on a task: seeds 0 to this.
    pub seeds: u64,
    /// Environment steps of every run; none: the default of the task's kind.
    pub steps: Option<i64>,
    /// Steps of an episode in the tasks that are models from `.dpomdp` files.
    pub horizon: Option<i64>,
    /// Settings of every run, `key=value`.
    pub settings: Vec<String>,
}

/// One run that is asked for, checked.
pub struct Cell {
    /// Its place among the tasks and among the methods.
    pub place: [usize; 2],
    /// What decides it.
    pub config: Config,
    /// What it is trained on.
    pub task: Task,
    /// Where it lies.
    pub folder: PathBuf,
}

/// Where the page lies in a comparison's folder.
pub const PAGE: &str = "comparison.md";
/// The same figures for programs.
pub const FIGURES: &str = "comparison.json";
/// The results for marl-eval.
pub const RESULTS: &str = "marl-eval.json";
const RUNS: &str = "runs";

/// Makes the folder of a comparison at `out`, which is new, empty, or holds one.
///
/// # Errors
/// When something else lies there, or the machine refuses.
pub fn open_folder(out: &Path) -> Result<(), Error> {
    let runs = out.join(RUNS);
    let taken = |holds: String| CompareError::Taken {
        path: out.to_owned(),
        holds,
    };
    let entries = match std::fs::read_dir(out) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(taken("a file".to_owned()).into());
        }
        Err(error) => return Err(WriteError::at(out)(error).into()),
    };
    for entry in entries.into_iter().flatten() {
        let name = entry.map_err(WriteError::at(out))?.file_name();
        let name = name.to_string_lossy();
        if name != RUNS && !is_result(&name) {
            return Err(taken(format!("`{name}`")).into());
        }
    }
    Ok(std::fs::create_dir_all(&runs).map_err(WriteError::at(&runs))?)
}

/// Whether a file in a comparison's folder is one of its results, or was to become one.
fn is_result(name: &str) -> bool {
    let picture = |name: &str| Some(name[..name.find(".svg")? + 4].to_owned());
    let hidden = name.strip_prefix('.').and_then(picture);
    let pending = |of: &str| is_temporary_of(name, of);
    let ours = [PAGE, FIGURES, RESULTS];
    ours.contains(&name)
        || name.ends_with(".svg")
        || ours.into_iter().any(pending)
        || hidden.is_some_and(|of| pending(&of))
}

impl Design {
    /// Checks that nothing is named twice, and no setting says what the comparison's own options do.
    ///
    /// # Errors
    /// When something is.
    pub fn check(&self) -> Result<(), CompareError> {
        for (list, names) in [("TASK", &self.tasks), ("--methods", &self.methods)] {
            for (index, name) in names.iter().enumerate() {
                if names[..index].contains(name) {
                    let name = name.clone();
                    return Err(CompareError::Twice { list, name });
                }
            }
        }
        for setting in &self.settings {
            let key = setting.split('=').next().unwrap_or_default().trim();
            let by = match key {
                "task" => "TASK",
                "method" => "--methods",
                "seed" => "--seeds",
                "steps" if self.steps.is_some() => "--steps",
                "horizon" if self.horizon.is_some() => "--horizon",
                _ => continue,
            };
            let key = key.to_owned();
            return Err(CompareError::Decided { key, by });
        }
        Ok(())
    }

    /// Every run, checked before any is made: seed by seed, so that a comparison that is stopped has
    /// compared all methods with the seeds it had.
    ///
    /// # Errors
    /// When a setting, a method or a task is none, or a method cannot learn a task.
    pub fn cells(&self, out: &Path) -> Result<Vec<Cell>, Error> {
        let mut cells: Vec<Cell> = Vec::new();
        for seed in 0..self.seeds {
            for (row, name) in self.tasks.iter().enumerate() {
                for (column, method) in self.methods.iter().enumerate() {
                    let layers = self.layers(name, method, seed);
                    let resolved = layers.and_then(|layers| layers.resolve());
                    let (config, task) = resolved.map_err(|source| CompareError::Cell {
                        task: name.clone(),
                        method: method.clone(),
                        source: Box::new(source),
                    })?;
                    // Two files may give their games one name; runs are told apart by it.
                    if cells
                        .iter()
                        .any(|other| other.place[0] != row && other.task.name() == task.name())
                    {
                        let (list, name) = ("TASK", task.name().to_owned());
                        return Err(CompareError::Twice { list, name }.into());
                    }
                    let run = format!("{}.{method}.seed{seed}", task.name());
                    cells.push(Cell {
                        place: [row, column],
                        folder: out.join(RUNS).join(run),
                        config,
                        task,
                    });
                }
            }
        }
        Ok(cells)
    }

    fn layers(&self, task: &str, method: &str, seed: u64) -> Result<Layers, ConfigError> {
        let mut layers = Layers::new();
        for setting in &self.settings {
            layers.assignment(setting)?;
        }
        layers.task(task)?;
        // Beside a model other tasks stand that have no horizon; where there is no model, the first task refuses it.
        let is_model = |task: &str| task.ends_with(EXTENSION);
        let takes = is_model(task) || !self.tasks.iter().any(|task| is_model(task));
        if let Some(horizon) = self.horizon.filter(|_| takes) {
            layers.value("horizon", horizon)?;
        }
        layers.value("method", method)?;
        layers.value("seed", seed as i64)?;
        if let Some(steps) = self.steps {
            layers.value("steps", steps)?;
        }
        Ok(layers)
    }
}

/// Who watches a comparison: called from any thread.
pub struct Spectator<'a> {
    /// Hears of environment steps taken, now or before.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Hears, in a line, of what happened.
    pub note: &'a (dyn Fn(&str) + Sync),
}

/// Trains what is not finished, `jobs` runs at a time, a thread each, and reads what all came to,
/// in the order of `cells`. The first error ends it; what is finished stays.
pub fn make(cells: &[Cell], jobs: usize, spectator: &Spectator<'_>) -> Result<Vec<Run>, Error> {
    let next = Mutex::new(cells.iter());
    let failed = AtomicBool::new(false);
    let work = || -> Result<(), Error> {
        while !failed.load(Ordering::Relaxed) {
            let cell = next.lock().expect("nothing panics with the queue").next();
            let Some(cell) = cell else { break };
            let made = make_one(cell, spectator);
            made.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<(), Error>>| {
            let joined = worker.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().try_for_each(join)
    })?;
    let read = |cell: &Cell| Ok(Run::read(cell)?.ok_or_else(|| gone(cell))?);
    cells.iter().map(read).collect()
}

fn gone(cell: &Cell) -> CompareError {
    CompareError::Run {
        path: cell.folder.clone(),
        found: "a run that was removed meanwhile".to_owned(),
    }
}

fn make_one(cell: &Cell, spectator: &Spectator<'_>) -> Result<(), Error> {
    if Run::read(cell)?.is_some() {
        (spectator.progress)(cell.config.steps);
        return Ok(());
    }
    let device = cell.config.device.open()?;
    let folder = RunFolder::open(&cell.config, Some(&cell.folder))?;
    let watch = Watch {
        progress: spectator.progress,
        note: spectator.note,
        threads: Some(1),
        ..Watch::default()
    };
    let (task, method, seed) = (cell.task.name(), cell.config.method, cell.config.seed);
    let name = format!("{task} by {method}, seed {seed}");
    let finished = match run::run(&cell.config, &cell.task, &device, &folder, &watch) {
        Ok(finished) => finished,
        Err(error) => {
            return Err(Error::OfRun {
                run: name,
                source: Box::new(error),
            });
        }
    };
    let (earned, time) = (finished.team.manifest.returns.exported, finished.time);
    (spectator.note)(&format!("{name}: {earned:.4}, {:.0} s", time.as_secs_f64()));
    Ok(())
}
