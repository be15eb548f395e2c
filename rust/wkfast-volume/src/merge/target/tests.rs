//! Targets in buckets: what is written there is what folders get, and nobody works beside another one unawares.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::journal::{Journal, PROVENANCE, TargetState, check_target};
use super::super::world::{World, cases, complete_all, merge_all, result_files, silent, simple_case, stopping};
use super::super::{Hold, Link, MergeInput, MergePlan, Seconds, Sources, commit, open_tasks, run, status, verify};
use super::bucket_lock::BucketLock;
use super::{Access, Held, MergeTarget, NOTES};
use crate::error::{Result, VolumeError};
use crate::store::{
    Address, BucketStore, ListStore, MemoryStore, ReadStore, SharedStore, Upload, Version, list, open_addresses_with,
};
use crate::work::Progress;

static BUCKETS: Mutex<Option<HashMap<String, Arc<MemoryStore>>>> = Mutex::new(None);

#[allow(clippy::unnecessary_wraps)] // it is an opener
fn open(address: &Address) -> Result<SharedStore> {
    let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(buckets.get_or_insert_default().entry(address.url.clone()).or_default().clone())
}

/// A bucket that nobody else has.
fn bucket() -> (MergeTarget, SharedStore) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    open_addresses_with(open);
    let url = format!("memory://bucket-{}/merged", COUNT.fetch_add(1, Ordering::Relaxed));
    let options = BTreeMap::from([("aws_secret_access_key".to_owned(), "hush".to_owned())]);
    let address = Address { url, options };
    let store = open(&address).unwrap();
    (MergeTarget::Objects(address), store)
}

fn objects(store: &SharedStore) -> BTreeMap<String, Vec<u8>> {
    let keys = list(&**store, "").unwrap().into_iter().map(|entry| entry.key);
    keys.map(|key| (key.clone(), store.read(&key, 1 << 30).unwrap().unwrap())).collect()
}

fn result_objects(store: &SharedStore) -> BTreeMap<String, Vec<u8>> {
    let mut found = objects(store);
    assert!(found.remove(PROVENANCE).is_some());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_into_a_bucket_that_was_stopped_anywhere_writes_the_files_of_a_folder(
        case in cases(), stops in 0_usize..4
    ) {
        let world = World::build(&case);
        let (_, expected) = merge_all(&world.input).unwrap();
        let (target, store) = bucket();
        let input = MergeInput { target, ..world.input.clone() };
        for stop in 0..stops {
            let plan = MergePlan::new(input.clone()).unwrap();
            let sources = Sources::open(&plan.input).unwrap();
            let done = run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut stopping(stop));
            prop_assert!(matches!(done, Ok(_) | Err(VolumeError::Interrupted)));
        }
        let (plan, report) = complete_all(&input).unwrap();
        prop_assert_eq!(result_objects(&store), result_files(world.target()));
        prop_assert_eq!(&report.total, &expected.total);
        prop_assert_eq!(complete_all(&input).unwrap().1.total, report.total);
        let sources = Sources::open(&input).unwrap();
        let compared = verify(&plan, &sources, 0..plan.task_count(), 2, &mut silent).unwrap();
        prop_assert_eq!(compared.shards, plan.task_count() as u64);
    }
}

#[test]
fn tasks_of_several_processes_meet_in_a_bucket() {
    let world = World::build(&simple_case());
    merge_all(&world.input).unwrap();
    let (target, store) = bucket();
    let plan = MergePlan::new(MergeInput { target: target.clone(), ..world.input.clone() }).unwrap();
    assert_eq!(check_target(&plan).unwrap(), TargetState::Fresh);
    assert!(status(&target).unwrap().is_none());
    let all = plan.task_count();
    for task in 0..all {
        // As another process: it knows what the notes say.
        let sources = Sources::open(&plan.input).unwrap();
        run(&plan, &sources, task..task + 1, 1, Access::Shared, &mut silent).unwrap();
        assert_eq!(open_tasks(&plan).unwrap().len(), all - task - 1);
    }
    let seen = status(&target).unwrap().unwrap();
    assert_eq!((seen.tasks_done, seen.busy), (all, false));
    let (key, _) = objects(&store).into_iter().find(|(key, _)| key.starts_with("segmentation/1/")).unwrap();
    store.bucket().unwrap().put(&key, b"cut".to_vec()).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    let again = run(&plan, &sources, 0..all, 2, Access::Exclusive, &mut silent).unwrap();
    assert!(again.resumed >= all - 1);
    commit(&plan, Seconds::default(), true, &mut silent).unwrap();
    assert_eq!(result_objects(&store), result_files(world.target()));
    assert!(status(&target).unwrap().is_none());
}

#[test]
fn a_bucket_that_holds_anything_else_is_refused_and_left_alone() {
    let world = World::build(&simple_case());
    let refused = |key: &str, expected: &str| {
        let (target, store) = bucket();
        store.bucket().unwrap().put(key, b"{}".to_vec()).unwrap();
        let told = MergePlan::new(MergeInput { target, ..world.input.clone() }).unwrap_err().to_string();
        assert!(told.contains(expected) && !told.contains("hush"), "{told}");
        assert_eq!(objects(&store).len(), 1);
    };
    refused("notes.txt", "is not empty, it holds notes.txt");
    refused("datasource-properties.json", "already holds a dataset");
    let (target, _) = bucket();
    let mut input = MergeInput { target, ..world.input.clone() };
    input.options.link = Link::Hard;
    assert!(MergePlan::new(input).unwrap_err().to_string().contains("a bucket has no hard links"));
}

#[test]
fn another_merge_is_told_from_the_same_one_by_other_credentials() {
    let mut world = World::build(&simple_case());
    let (target, store) = bucket();
    world.input.target = target.clone();
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    run(&plan, &sources, 0..1, 1, Access::Exclusive, &mut silent).unwrap();
    assert!(objects(&store).values().all(|bytes| !String::from_utf8_lossy(bytes).contains("hush")));
    let MergeTarget::Objects(mut address) = target else { unreachable!() };
    address.options.clear();
    let other = MergePlan::new(MergeInput { target: MergeTarget::Objects(address), ..world.input.clone() }).unwrap();
    assert_eq!(check_target(&other).unwrap(), TargetState::Begun);
    world.input.options.policy = super::super::Policy::Nonzero;
    let told = MergePlan::new(world.input).unwrap_err().to_string();
    assert!(told.contains("different merge"), "{told}");
}

#[test]
fn those_who_want_a_bucket_exclude_each_other_unless_they_share() {
    let mut world = World::build(&simple_case());
    world.input.target = bucket().0;
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let open = |access| Journal::open(&plan, 0..0, access, &mut silent).map(Option::unwrap);
    let first = open(Access::Exclusive).unwrap();
    let told = open(Access::Exclusive).unwrap_err().to_string();
    assert!(told.contains(&format!("process {} on", std::process::id())), "{told}");
    assert!(open(Access::Shared).is_err());
    assert!(open(Access::Coordinated).is_ok());
    assert!(status(&plan.input.target).unwrap().unwrap().busy);
    drop(first);
    let shared = open(Access::Shared).unwrap();
    assert!(open(Access::Shared).is_ok());
    assert!(open(Access::Exclusive).is_err());
    drop(shared);
    let hold = Hold::take(&plan, &mut silent).unwrap();
    let store = plan.input.target.container().open().unwrap();
    assert!(store.size(hold.ticket()).unwrap().is_some() && store.size(&hold.plan_file()).unwrap().is_some());
    let ticket = hold.ticket().to_owned();
    drop(hold);
    assert_eq!(store.size(&ticket).unwrap(), None);
    assert!(open(Access::Exclusive).is_ok());
}

const HASTE: Duration = Duration::from_millis(400);
const ELSEWHERE: &str = "elsewhere run pid:[1] 77 5 renewed 3";

fn locked(store: &SharedStore, key: &str, text: &str) {
    store.bucket().unwrap().put(&format!("{NOTES}/{key}"), text.as_bytes().to_vec()).unwrap();
}

fn take(store: &SharedStore, access: Access) -> Result<BucketLock> {
    BucketLock::take_after(store, access, HASTE, &mut silent)
}

#[test]
fn a_lock_that_nobody_renews_is_taken_over_and_its_owner_finds_out() {
    for (key, access) in [("lock", Access::Exclusive), ("lock", Access::Shared), ("shared-a.lock", Access::Exclusive)] {
        let (_, store) = bucket();
        locked(&store, key, ELSEWHERE);
        let begun = Instant::now();
        let lock = take(&store, access).unwrap();
        assert!(begun.elapsed() >= HASTE);
        assert!(lock.check().is_ok());
        assert_eq!(objects(&store).len(), 1);
        locked(&store, objects(&store).keys().next().unwrap().strip_prefix(".wkfast-merge/").unwrap(), ELSEWHERE);
        assert!(lock.check().unwrap_err().to_string().contains("process 77 on elsewhere"));
        drop(lock);
        assert_eq!(objects(&store).len(), 1, "the lock of another one is not removed");
    }
}

#[test]
fn a_lock_that_is_renewed_while_it_is_watched_is_its_owners() {
    let (_, store) = bucket();
    locked(&store, "lock", ELSEWHERE);
    let looks = Cell::new(0);
    let mut observer = |_: Progress| {
        looks.set(looks.get() + 1);
        locked(&store, "lock", &format!("{ELSEWHERE} {}", looks.get()));
        Ok(())
    };
    let taken = BucketLock::take_after(&store, Access::Exclusive, HASTE, &mut observer);
    assert!(matches!(taken, Err(VolumeError::TargetBusy { .. })));
    assert!(looks.get() >= 1);
    let mut given_up = |_: Progress| Err(VolumeError::Interrupted);
    let taken = BucketLock::take_after(&store, Access::Exclusive, Duration::from_secs(60), &mut given_up);
    assert!(matches!(taken, Err(VolumeError::Interrupted)));
}

#[test]
fn the_lock_of_a_process_of_this_machine_is_over_when_that_has_gone() {
    let (_, store) = bucket();
    let this = wkfast_files::Process::this().to_string();
    let (words, _) = this.rsplit_once(' ').unwrap();
    locked(&store, "lock", &format!("{words} 1 renewed 7"));
    let lock = BucketLock::take_after(&store, Access::Exclusive, Duration::from_secs(60), &mut silent).unwrap();
    assert!(BucketLock::is_held(&store).unwrap());
    drop(lock);
    assert!(!BucketLock::is_held(&store).unwrap());
    assert!(objects(&store).is_empty());
}

#[test]
fn the_lock_of_a_process_of_this_machine_that_lives_is_over_when_it_is_not_renewed() {
    let this = wkfast_files::Process::this().to_string();
    let (_, store) = bucket();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    locked(&store, "lock", &format!("{this} renewed 7 at {} as", now - 1_000_000));
    assert!(take(&store, Access::Exclusive).is_ok());
    locked(&store, "lock", &format!("{this} renewed 7 at {} as", now + 1_000_000));
    assert!(take(&store, Access::Exclusive).is_ok(), "a clock that was set back is no renewal");
    // Another machine of the same name, as containers have it.
    let words: Vec<&str> = this.split(' ').collect();
    locked(&store, "lock", &format!("{} other-boot {} {} {} renewed 7", words[0], words[2], words[3], words[4]));
    let begun = Instant::now();
    assert!(take(&store, Access::Exclusive).is_ok());
    assert!(begun.elapsed() >= HASTE);
}

#[test]
fn whoever_lost_its_lock_writes_no_more() {
    let mut world = World::build(&simple_case());
    let (target, store) = bucket();
    world.input.target = target;
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let journal = Journal::open(&plan, 0..0, Access::Exclusive, &mut silent).unwrap().unwrap();
    assert!(journal.check_held().is_ok());
    let lock = BucketLock::take(&store, Access::Shared, &mut silent);
    assert!(matches!(lock, Err(VolumeError::TargetBusy { .. })));
    drop(journal);
    let lock = take(&store, Access::Exclusive).unwrap();
    locked(&store, "lock", ELSEWHERE);
    assert!(!lock.is_lost());
    lock.renew_now();
    assert!(lock.is_lost());
    drop(lock);
    assert_eq!(store.read(".wkfast-merge/lock", 99).unwrap().unwrap(), ELSEWHERE.as_bytes());
}

#[test]
fn of_many_who_come_at_once_one_gets_the_bucket() {
    let (_, store) = bucket();
    let (begun, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let Ok(lock) = BucketLock::take(&store, Access::Exclusive, &mut silent) else { continue };
                    assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    begun.fetch_add(1, Ordering::SeqCst);
                    held.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
    assert!(begun.into_inner() > 0);
    assert!(objects(&store).is_empty());
}

/// A bucket whose answers to puts are lost: they are done, and reported as somebody else's.
#[derive(Debug)]
struct Forgetful(SharedStore);

impl ReadStore for Forgetful {
    fn describe(&self, key: &str) -> String {
        self.0.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        self.0.size(key)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.0.read(key, limit)
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_into(key, offset, buffer)
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        self.0.lister()
    }

    fn bucket(&self) -> Option<&dyn BucketStore> {
        Some(self)
    }
}

impl BucketStore for Forgetful {
    fn read_version(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>> {
        self.0.bucket().unwrap().read_version(key, limit)
    }

    fn put(&self, key: &str, content: Vec<u8>) -> Result<()> {
        self.0.bucket().unwrap().put(key, content)
    }

    fn put_if(&self, key: &str, content: Vec<u8>, expected: Option<&Version>) -> Result<Option<Version>> {
        self.0.bucket().unwrap().put_if(key, content, expected).map(|_| None)
    }

    fn remove(&self, keys: &[String]) -> Result<()> {
        self.0.bucket().unwrap().remove(keys)
    }

    fn release(&self, key: &str, own: &dyn Fn(&[u8]) -> bool) -> Result<()> {
        self.0.bucket().unwrap().release(key, own)
    }

    fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        self.0.bucket().unwrap().upload(key)
    }

    fn copy_from(&self, _: &dyn ReadStore, _: &str, _: u64, _: &str) -> Result<bool> {
        Ok(false)
    }
}

#[test]
fn a_lock_whose_answer_was_lost_is_known_by_what_it_says() {
    let (_, store) = bucket();
    let forgetful: SharedStore = Arc::new(Forgetful(store.clone()));
    let lock = take(&forgetful, Access::Exclusive).unwrap();
    lock.renew_now();
    assert!(lock.check().is_ok());
    drop(lock);
    assert!(objects(&store).is_empty());
}

#[test]
fn which_merge_a_file_is_of_is_among_its_first_bytes() {
    let mut world = World::build(&simple_case());
    let (target, store) = bucket();
    world.input.target = target;
    let (plan, _) = merge_all(&world.input).unwrap();
    let provenance = store.read(PROVENANCE, 1 << 30).unwrap().unwrap();
    for text in [plan.to_json().unwrap().into_bytes(), provenance] {
        assert!(String::from_utf8_lossy(&text[..256]).contains(&plan.fingerprint));
    }
    let opened = store.bucket().unwrap();
    // What follows is not looked at where the first bytes are those of the same merge.
    let cut = format!("{{\"version\":1,\"fingerprint\":\"{}\",", plan.fingerprint);
    opened.put(PROVENANCE, cut.into_bytes()).unwrap();
    assert_eq!(check_target(&plan).unwrap(), TargetState::Committed);
    opened.put(PROVENANCE, b"{\"fingerprint\":\"another\"}".to_vec()).unwrap();
    assert!(check_target(&plan).unwrap_err().to_string().contains("different merge"));
}
