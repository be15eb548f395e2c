//! What a process needs that lets others run the tasks: the target held for them, how much each task weighs, and what
//! is left to do.

use super::journal::{self, Journal, TargetState};
use super::plan::{MergePlan, Task};
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
        let journal = Journal::open(plan, Access::Exclusive, observer)?.ok_or_else(|| VolumeError::TargetTaken {
            target: plan.input.target.to_string(),
            reason: "was finished by another process meanwhile; the same call returns its report".to_owned(),
        })?;
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
        journal::plan_key()
    }
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
    let computed = u64::from(shard.chunks_replaced) + u64::from(shard.chunks_mixed);
    shard.fallback_bytes.unwrap_or(0) + computed * mag.grid.chunk_bytes() as u64
}

/// Numbers of the tasks that no process has noted as done, in order. Takes no lock: the answer is of this moment.
pub fn open_tasks(plan: &MergePlan) -> Result<Vec<usize>> {
    let all = 0..plan.tasks().len();
    match journal::check_target(plan)? {
        TargetState::Fresh => Ok(all.collect()),
        TargetState::Committed => Ok(Vec::new()),
        TargetState::Begun => {
            let done = journal::read_lines(&*plan.input.target.open()?)?;
            Ok(all.filter(|task| !done.contains_key(task)).collect())
        }
    }
}
