//! How much memory this process may take, and how much of it may wait for servers.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use crate::error::{Result, VolumeError};

/// Says how many bytes of requests may be on their way at once.
pub const IN_FLIGHT_VARIABLE: &str = "WKFAST_BYTES_IN_FLIGHT";
/// As many, where nothing else is said and memory is not scarce.
const IN_FLIGHT: u64 = 256 << 20;
/// The least that is of any use.
const LEAST_IN_FLIGHT: u64 = 8 << 20;
/// What Python, numpy and this library take before anything is read; processes that may take less have been seen to be killed.
pub const STANDING: u64 = 96 << 20;

/// Bytes of requests that may be on their way at once, in one call: what the environment says, else 256 MiB, or half of what the
/// control group leaves this process.
///
/// # Errors
/// The environment says something that is no number.
pub fn bytes_in_flight() -> Result<u64> {
    match env::var_os(IN_FLIGHT_VARIABLE).filter(|text| !text.is_empty()) {
        Some(text) => stated(&text.to_string_lossy()),
        None => Ok(shared(memory_limit())),
    }
}

fn stated(text: &str) -> Result<u64> {
    let wrong = || {
        let least = LEAST_IN_FLIGHT;
        VolumeError::Setting(format!("{IN_FLIGHT_VARIABLE} is {text:?}, expected a number of bytes from {least} on"))
    };
    text.trim().parse().ok().filter(|&bytes| bytes >= LEAST_IN_FLIGHT).ok_or_else(wrong)
}

fn shared(limit: Option<u64>) -> u64 {
    let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(STANDING) / 2);
    left.clamp(LEAST_IN_FLIGHT, IN_FLIGHT)
}

/// Bytes that the control groups of this process (v1 and v2) allow it, the least of all that it is in; `None` where they set
/// no limit.
pub fn memory_limit() -> Option<u64> {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    *LIMIT.get_or_init(|| limit_of(&fs::read_to_string("/proc/self/cgroup").ok()?, Path::new("/sys/fs/cgroup")))
}

/// The same of a process whose groups `membership` lists, as `/proc/PID/cgroup` does.
fn limit_of(membership: &str, mounted: &Path) -> Option<u64> {
    let groups = membership.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        match controllers {
            "" => Some((mounted.to_owned(), path, "memory.max")),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some((mounted.join("memory"), path, "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    groups.filter_map(|(root, path, file)| least_above(&root, path, file)).min()
}

/// The least limit of a group and those around it. In a container, whose groups are mounted as the outermost, that is the one.
fn least_above(root: &Path, path: &str, file: &str) -> Option<u64> {
    let folders = Path::new(path.trim_start_matches('/')).ancestors();
    let limits =
        folders.filter_map(|folder| fs::read_to_string(root.join(folder).join(file)).ok()?.trim().parse().ok());
    // Version 1 writes "none" as a number of pages that no machine has.
    limits.filter(|&limit: &u64| limit < 1 << 60).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |place: &str, text: &str| {
            let file = root.path().join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let limit = |membership| limit_of(membership, root.path());
        assert_eq!(limit("0::/a/b\n4:memory:/c\n"), None);
        write("a/b/memory.max", "max\n");
        assert_eq!(limit("0::/a/b\n"), None);
        write("a/memory.max", "2000\n");
        assert_eq!(limit("0::/a/b\n"), Some(2000));
        write("a/b/memory.max", "1000\n");
        assert_eq!(limit("0::/a/b\n"), Some(1000));
        write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit("5:cpu,memory:/c\n"), None);
        write("memory/memory.limit_in_bytes", "500\n");
        assert_eq!(limit("5:cpu,memory:/c\n0::/a/b\n1:name=systemd:/c\n"), Some(500));
        // A path that only the outside knows.
        assert_eq!(limit("4:memory:/docker/123\n"), Some(500));
        assert_eq!(limit("nonsense\n:\n"), None);
    }

    #[test]
    fn little_memory_leaves_little_to_wait_for() {
        assert_eq!(shared(None), IN_FLIGHT);
        assert_eq!(shared(Some(1 << 40)), IN_FLIGHT);
        assert_eq!(shared(Some(STANDING + (100 << 20))), 50 << 20);
        assert_eq!(shared(Some(1000)), LEAST_IN_FLIGHT);
    }

    #[test]
    fn what_is_no_number_of_bytes_is_told() {
        assert_eq!(stated(" 8388608 ").unwrap(), 8 << 20);
        for text in ["256M", "-1", "8388607", ""] {
            let told = stated(text).unwrap_err().to_string();
            assert!(told.contains(IN_FLIGHT_VARIABLE) && told.contains("from 8388608 on"), "{told}");
        }
    }
}
