use super::testing::Signs;
use super::*;
use crate::env::ActionSpace;

fn runner(task: Task, parallel: usize) -> Runner {
    let streams = vec![Stream::new(3, "test", 0)];
    Runner::new(&[task], parallel, streams, Normalisation::default())
}

/// Both agents take action 1 in every row.
fn ones(seen: &Seen) -> Result<Actions> {
    let rows = seen.rows.samples() * seen.rows.replicas;
    Ok(Actions {
        taken: Choices::Discrete(vec![1; rows * 2]),
        drawn: None,
        log_prob: vec![-0.5; rows],
    })
}

fn pair() -> Signs {
    Signs::new(&[(2, ActionSpace::Discrete(2)); 2], 3)
}

/// What `rows` of sequence 0 show of the step: agent 0's second number.
fn steps(batch: &Batch) -> Vec<f32> {
    batch.joint.chunks_exact(4).map(|row| row[1]).collect()
}

#[test]
fn an_episode_that_ends_for_good_is_followed_at_once_by_the_next() {
    let mut runner = runner(pair().ending(0.0).task(), 1);
    let batch = runner.collect(7, ones).unwrap();
    // Episodes of three: the row after the third step is a first one, and step 3 is seen by no one.
    assert_eq!(steps(&batch), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0, 1.0]);
    let starts = [true, false, false, true, false, false, true, false];
    assert_eq!(batch.rows.first, starts);
    let ends = [false, false, true, false, false, true, false];
    assert_eq!(batch.terminated, ends);
    assert!(batch.valid.iter().all(|&valid| valid));
    assert_eq!((batch.env_steps(0), batch.rows.time), (7, 8));
    // Returns are sums of three rewards each; what the seventh step earned is not yet one.
    let sums: Vec<f32> = batch.rewards[..6]
        .chunks(3)
        .map(|r| r.iter().sum())
        .collect();
    assert_eq!(batch.returns, [sums]);
    // The unfinished episode goes on in the next batch, its first reward included.
    let next = runner.collect(2, ones).unwrap();
    assert_eq!(steps(&next), [1.0, 2.0, 0.0]);
    assert!(next.rows.continues());
    let whole = batch.rewards[6] + next.rewards[0] + next.rewards[1];
    assert_eq!(next.returns, [vec![whole]]);
}

#[test]
fn an_episode_cut_off_shows_its_last_observation_in_a_row_of_its_own() {
    let mut runner = runner(pair().task(), 1);
    let batch = runner.collect(7, ones).unwrap();
    assert_eq!(steps(&batch), [0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
    assert!(!batch.terminated.contains(&true));
    let acted = [true, true, true, false, true, true, true, false];
    assert_eq!(batch.valid, acted);
    let starts = [true, false, false, false, true, false, false, false];
    assert_eq!(batch.rows.first, starts);
    assert_eq!(batch.rewards[3], 0.0);
    assert_eq!((batch.env_steps(0), batch.returns[0].len()), (6, 2));
    // The row left over, in which nobody acts, opens the next batch.
    let next = runner.collect(2, ones).unwrap();
    assert_eq!((steps(&next), next.env_steps(0)), (vec![3.0, 0.0, 1.0], 1));
    assert_eq!(next.valid, [false, true, true]);
    assert_eq!(next.rows.first, [false, true, false]);
}

#[test]
fn masks_and_states_belong_to_the_row_that_shows_them() {
    let task = Signs::mixed(3).masked().with_state().ending(0.0).task();
    let mut runner = runner(task, 2);
    let first = |seen: &Seen| {
        let table = seen.forbidden.as_ref().expect("a masked task");
        // The first action that is allowed, of each of four agents with up to five.
        let own = table.chunks_exact(5);
        let taken = own.map(|own| own.iter().position(|&x| x == 0.0).unwrap() as u32);
        Ok(Actions {
            taken: Choices::Discrete(taken.collect()),
            drawn: None,
            log_prob: vec![0.0; seen.rows.samples()],
        })
    };
    let batch = runner.collect(4, first).unwrap();
    let forbidden: Vec<Vec<bool>> = (batch.forbidden.chunks_exact(20))
        .map(|row| row.iter().map(|&x| x == FORBIDDEN).collect())
        .collect();
    for (row, (state, found)) in std::iter::zip(batch.state.chunks_exact(5), &forbidden).enumerate()
    {
        let step = row / 2 % 3;
        assert_eq!(state[0], step as f32);
        for (agent, own) in found.chunks_exact(5).enumerate() {
            let actions = [3, 5, 3, 5][agent];
            for (action, &found) in own.iter().enumerate() {
                let expected = action >= actions || action == (step + agent) % actions;
                assert_eq!(found, expected, "row {row}, agent {agent}, action {action}");
            }
        }
    }
}

#[test]
fn a_runner_goes_on_from_where_it_was_saved() {
    let random = |stream: &mut Stream, seen: &Seen| {
        let rows = seen.rows.samples() * seen.rows.replicas;
        let draw = (0..rows * 2).map(|_| u32::from(stream.uniform() < 0.5));
        Ok(Actions {
            taken: Choices::Discrete(draw.collect()),
            drawn: None,
            log_prob: vec![0.0; rows],
        })
    };
    for task in [pair().task(), pair().with_state().ending(0.3).task()] {
        let tasks = [task.clone(), task];
        let make = || {
            let streams = (0..2).map(|r| Stream::new(r, "test", 0)).collect();
            let spec = tasks[0].spec();
            Runner::new(&tasks, 3, streams, Normalisation::measured(&spec, 2))
        };
        let (mut runner, mut dice) = (make(), Stream::new(0, "dice", 0));
        for rollout in 0..4 {
            let bytes = postcard::to_stdvec(&runner.save()).unwrap();
            let mut other = make();
            other
                .restore(postcard::from_bytes(&bytes).unwrap())
                .unwrap();
            let mut same_dice = dice.clone();
            let a = runner.collect(5, |seen| random(&mut dice, seen)).unwrap();
            let b = other
                .collect(5, |seen| random(&mut same_dice, seen))
                .unwrap();
            assert_eq!(a.rows, b.rows, "rollout {rollout}");
            assert_eq!((a.joint, a.state, a.rewards), (b.joint, b.state, b.rewards));
            assert_eq!((a.valid, a.terminated), (b.valid, b.terminated));
            assert_eq!(a.returns, b.returns);
        }
    }
}
