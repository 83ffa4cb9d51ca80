//! scratch
use consort_trainer::config::Layers;
use consort_trainer::train::train;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap();
    let seeds: u64 = args.next().unwrap().parse().unwrap();
    let mut layers = Layers::new();
    layers.task(&task).unwrap();
    for s in args {
        layers.assignment(&s).unwrap();
    }
    let (config, task) = layers.resolve().map_err(|e| e.to_string()).unwrap();
    let seeds: Vec<u64> = (0..seeds).collect();
    let tasks = vec![task.clone(); seeds.len()];
    let start = std::time::Instant::now();
    let out = train(
        &config,
        &tasks,
        &seeds,
        &candle_core::Device::Cpu,
        2,
        &|_| (),
    )
    .unwrap();
    let budget = config.budget(&task.spec());
    println!("{budget:?} {:.1}s", start.elapsed().as_secs_f64());
    for (seed, o) in out.iter().enumerate() {
        let exact = |n: &[consort_trainer::net::NetworkWeights]| -> f64 {
            let a = consort_trainer::export::actors(n).unwrap();
            match task.problem().and_then(|p| a.exact_in(p).unwrap()) {
                Some(v) => v,
                None => {
                    a.play(
                        &task,
                        if task.spec().horizon > 100 { 50 } else { 2000 },
                        99,
                        consort_trainer::team::Choice::Greedy,
                    )
                    .unwrap()
                    .mean
                }
            }
        };
        println!(
            "seed {seed}: kept {} by arm {}, steps {}, optimum {:?}; arms {:?}",
            exact(&o.best().marginals),
            o.selection.chosen,
            o.env_steps(),
            task.optimum(),
            o.arms
                .iter()
                .map(|a| (exact(&a.marginals) * 1000.0).round() / 1000.0)
                .collect::<Vec<_>>()
        );
        if std::env::var("Q").is_ok() {
            continue;
        }
        for (i, arm) in o.arms.iter().enumerate() {
            let points: Vec<String> = arm
                .records
                .iter()
                .filter(|r| r.values.is_some())
                .map(|r| {
                    let v = r.values;
                    format!(
                        "{:.2}/{:.2}/{:.2}",
                        v.and_then(|v| v.joint).unwrap_or(f64::NAN),
                        v.map_or(f64::NAN, |v| v.product),
                        v.map_or(f64::NAN, |v| v.greedy)
                    )
                })
                .collect();
            println!(
                "seed {seed} arm {i} {}steps {} {:?}",
                if i == o.selection.chosen { "* " } else { "" },
                arm.env_steps,
                o.selection.evaluations[i].map(|e| e.mean)
            );
            println!("   {}", points.join(" "));
            if std::env::var("V").is_ok() {
                for r in arm.records.iter().step_by(5) {
                    println!("      {:?}", r.metrics);
                }
            }
        }
    }
}
