//! The fallback merge: [`plan`], [`run()`], [`commit`], or [`complete`] for the last two at once.
//!
//! [`mod@survey`] looks at both sides and decides; [`plan`] is what it decided, as plain data; [`shard`] writes one shard of
//! the result, with [`chunk`] for the voxels and [`recompute`] for mags the annotation lacks; [`mod@run`] does so in
//! parallel and [`journal`] remembers what is done, both in a target; [`share`] is for processes that let others run tasks, [`mod@status`] for those
//! who look on. [`plan_file`] is a plan on disk, of which a task reads its part.

mod blocks;
mod boxes;
mod columns;
mod compose;
mod cover;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod links;
mod makers;
mod notes;
mod reckoning;
mod roles;
mod rule;
mod sides;
mod space;
mod target;
mod terms;

pub mod chunk;
pub mod dtype;
pub mod input;
pub mod journal;
pub mod outline;
pub mod plan;
pub mod plan_file;
pub mod recompute;
pub mod report;
pub mod run;
pub mod shard;
pub mod share;
pub mod stamp;
pub mod status;
pub mod survey;
pub mod tally;
pub mod verify;
pub mod view;

pub use self::chunk::Policy;
pub use self::input::{Link, MagChoice, MergeInput, MergeOptions, NewLabels, TargetMag};
pub use self::journal::{TargetState, check_target};
pub use self::outline::{MagSummary, Outline};
pub use self::plan::MergePlan;
pub use self::plan_file::PlanFile;
pub use self::report::{Conflict, MergeReport, Seconds};
pub use self::rule::{LabelRule, RuleId, Runs};
pub use self::run::{RunSummary, commit, complete, run};
pub use self::share::{Hold, count_open, open_tasks, share_of, work_bytes};
pub use self::sides::{SideMag, Sources};
pub use self::status::{MergeStatus, status};
pub use self::target::{Access, MergeTarget};
pub use self::verify::{VerifySummary, verify};
pub use self::view::{MergedView, ViewInput};

#[cfg(test)]
mod plan_file_tests;
#[cfg(test)]
pub(crate) mod reference;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watched;
#[cfg(test)]
mod world;
