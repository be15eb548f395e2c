//! Requests that are ended. A process of its own: all that are under way in it end with them, those of other tests too.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use wkfast_objects::{ObjectFiles, end_requests};
use wkfast_volume::VolumeError;
use wkfast_volume::store::{Address, Fetch, Origin, Part, ReadStore};

#[test]
fn a_server_that_never_answers_is_left_when_requests_are_ended() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/files", silent.local_addr().unwrap());
    let store = ObjectFiles::open(Address { url, options: BTreeMap::new() }).unwrap();
    let fetches = [Fetch { origin: Origin::Key("a"), part: Part::Range(0..4) }];
    let begun = Instant::now();
    thread::scope(|scope| {
        let one = scope.spawn(|| store.read("a", 9));
        let many = scope.spawn(|| store.read_batch(&fetches, &|_, _| Ok(())));
        // They may begin late, and what has not begun is not ended.
        while !(one.is_finished() && many.is_finished()) {
            thread::sleep(Duration::from_millis(100));
            end_requests();
        }
        assert!(matches!(one.join().unwrap(), Err(VolumeError::Interrupted)));
        assert!(matches!(many.join().unwrap(), Err(VolumeError::Interrupted)));
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "the server's silence was waited for");
}
