//! What a process needs that lets others run the tasks: the target held for them, how much each task weighs, which are
//! whose, and what is left to do.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::journal::{self, Journal, TargetState};
use super::notes;
use super::plan::{MagPlan, MergePlan, ShardPlan, Task};
use super::target::{Access, NOTES};
use crate::error::{Result, VolumeError};
use crate::work::{Observer, unique_name};

/// A target that this process has to itself while its workers, which lock nothing, run tasks with
/// [`Access::Coordinated`].
///
/// Workers are told by the ticket: a file that is there as long as the hold. They may be on other machines, where no
/// signal reaches them, so they look for it now and then and stop when it is gone.
#[derive(Debug)]
pub struct Hold {
    journal: Journal,
    ticket: String,
    /// A forked child has a copy that is not its own.
    owner: u32,
}

impl Hold {
    /// Takes the target of `plan`, creating it if it is fresh. There is nothing to hold in one that is committed.
    pub fn take(plan: &MergePlan, observer: &mut Observer) -> Result<Self> {
        let journal =
            Journal::open(plan, 0..0, Access::Exclusive, observer)?.ok_or_else(|| VolumeError::TargetTaken {
                target: plan.input.target.to_string(),
                reason: "was finished by another process meanwhile; the same call returns its report".to_owned(),
            })?;
        // Others read of it what they need, and more than once.
        journal.target().put(&plan_file(), &plan.to_bytes("")?)?;
        let ticket = format!("{NOTES}/{}", unique_name("held", "ticket"));
        journal.target().put(&ticket, b"")?;
        Ok(Self { journal, ticket, owner: std::process::id() })
    }

    /// See [`Hold`]: its place in the target.
    pub fn ticket(&self) -> &str {
        &self.ticket
    }

    /// The plan, for workers to read: its place in the target.
    pub fn plan_file(&self) -> String {
        plan_file()
    }
}

fn plan_file() -> String {
    format!("{NOTES}/plan")
}

impl Drop for Hold {
    fn drop(&mut self) {
        if std::process::id() == self.owner {
            // Whoever removed the target has removed the ticket as well.
            let _ = self.journal.target().remove(&self.ticket);
        }
    }
}

/// Bytes that a task has to get through: the fallback's file, and the voxels of the chunks that are computed.
pub fn work_bytes(plan: &MergePlan, task: Task) -> u64 {
    let (mag, shard) = plan.task_parts(task);
    bytes_of(mag, shard)
}

/// The same of a shard.
pub(super) fn bytes_of(mag: &MagPlan, shard: &ShardPlan) -> u64 {
    let computed = u64::from(shard.chunks_replaced) + u64::from(shard.chunks_mixed);
    shard.fallback_bytes.unwrap_or(0).saturating_add(computed.saturating_mul(mag.grid.chunk_bytes() as u64))
}

/// Numbers of the tasks that no process has noted as done, in order. Takes no lock: the answer is of this moment.
pub fn open_tasks(plan: &MergePlan) -> Result<Vec<usize>> {
    let all = 0..plan.task_count();
    Ok(match noted(plan, &all)? {
        Some(done) => all.filter(|&task| !done[task]).collect(),
        None => Vec::new(),
    })
}

/// How many of `tasks` no process has noted as done, as [`open_tasks`].
pub fn count_open(plan: &MergePlan, tasks: &Range<usize>) -> Result<usize> {
    plan.outline().check_range(tasks)?;
    Ok(noted(plan, tasks)?.map_or(0, |done| done.iter().filter(|&&done| !done).count()))
}

/// The tasks of a stage of `plan`, which must be whole, that are share `one` of `shares`, counted within the stage: all shares
/// together are everything, each about as much work.
pub fn share_of(plan: &MergePlan, stage: &Range<usize>, one: u64, shares: u64) -> Result<Range<usize>> {
    plan.check_range(stage)?;
    let weights: Vec<u64> = stage.clone().map(|task| work_bytes(plan, plan.task(task))).collect();
    let part = Weighed { tasks: stage.len(), bytes: weights.iter().sum() };
    share(&[part], one, shares, &|_| Ok(weights.clone()))
}

/// Which of `tasks` are done; `None`: all, and more.
fn noted(plan: &MergePlan, tasks: &Range<usize>) -> Result<Option<Vec<bool>>> {
    Ok(match journal::check_target(plan)? {
        TargetState::Fresh => Some(vec![false; tasks.len()]),
        TargetState::Committed => None,
        TargetState::Begun => Some(notes::done(&*plan.input.target.open()?, tasks)?),
    })
}

/// Tasks that follow each other, and what they have to get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Weighed {
    pub(super) tasks: usize,
    pub(super) bytes: u64,
}

/// The tasks that are share `share` of `shares`, counted from the first of `parts` on: all shares together are everything,
/// each about as much work. `weights` are the bytes of each task of a part; it is asked for two parts at most.
pub(super) fn share(
    parts: &[Weighed],
    share: u64,
    shares: u64,
    weights: &dyn Fn(usize) -> Result<Vec<u64>>,
) -> Result<Range<usize>> {
    let start = first_of(parts, share, shares, weights)?;
    Ok(start..first_of(parts, share + 1, shares, weights)?.max(start))
}

/// How many tasks belong to shares before `share`. A task belongs to the one in which its middle lies; each counts as a
/// byte more than it has, so that those without any are shared as well.
fn first_of(parts: &[Weighed], share: u64, shares: u64, weights: &dyn Fn(usize) -> Result<Vec<u64>>) -> Result<usize> {
    let whole = |part: &Weighed| u128::from(part.bytes) + part.tasks as u128;
    let total: u128 = parts.iter().map(whole).sum();
    let is_earlier = |twice_middle: u128| twice_middle * u128::from(shares) / (2 * total) < u128::from(share);
    let (mut before, mut count) = (0_u128, 0);
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| part.tasks > 0) {
        let end = before + whole(part);
        if !is_earlier(2 * before + 1) {
            break;
        }
        if !is_earlier(2 * end - 1) {
            for weight in weights(number)? {
                count += usize::from(is_earlier(2 * before + u128::from(weight) + 1));
                before += u128::from(weight) + 1;
            }
            break;
        }
        count += part.tasks;
        before = end;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The range of each share of tasks that weigh so much, cut in parts of `length`.
    fn shares(work: &[u64], length: usize, shares: u64) -> Vec<Range<usize>> {
        let cut: Vec<&[u64]> = work.chunks(length).collect();
        let part = |tasks: &&[u64]| Weighed { tasks: tasks.len(), bytes: tasks.iter().sum() };
        let parts: Vec<Weighed> = cut.iter().map(part).collect();
        (0..shares).map(|one| share(&parts, one, shares, &|part| Ok(cut[part].to_vec())).unwrap()).collect()
    }

    #[test]
    fn shares_are_about_the_same_work_and_together_everything() {
        assert_eq!(shares(&[5, 1, 1, 1, 1, 1], 6, 2), [0..2, 2..6]);
        assert_eq!(shares(&[7], 1, 3), [0..0, 0..1, 1..1]);
        assert_eq!(shares(&[0; 4], 4, 2), [0..2, 2..4]);
        let work: Vec<u64> = (0..1000).map(|task| task * 7919 % 501 * u64::from(task % 3 == 0)).collect();
        let whole = shares(&work, 1000, 13);
        assert!(whole.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((whole[0].start, whole[12].end), (0, 1000));
        for length in [1, 7, 64, 999] {
            assert_eq!(shares(&work, length, 13), whole, "parts of {length}");
        }
    }
}
