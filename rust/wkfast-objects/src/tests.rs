//! The store held to what every store must do, and what is special about it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wkfast_volume::VolumeError;
use wkfast_volume::store::conformance::{Files, conforms, sample};
use wkfast_volume::store::{Address, Fetch, Origin, Part, ReadStore, SharedStore};

use super::ObjectFiles;
use super::address::Reached;
use super::aws::section;

fn at(url: impl Into<String>) -> Address {
    Address { url: url.into(), options: BTreeMap::new() }
}

fn in_memory(name: &str, files: Files<'_>) -> SharedStore {
    let address = at(format!("memory://{name}/some/folder"));
    let store = ObjectFiles::open(address).unwrap();
    for (key, bytes) in files {
        let mut file = store.writer().unwrap().replace(key, 0).unwrap();
        file.write_all(bytes).unwrap();
        assert!(file.place().unwrap());
    }
    Arc::new(store)
}

#[test]
fn objects_conform() {
    let count = AtomicUsize::new(0);
    conforms(|files| in_memory(&format!("conforms-{}", count.fetch_add(1, Ordering::Relaxed)), files));
}

#[test]
fn ranges_that_lie_beside_each_other_are_told_apart_again() {
    let store = in_memory("beside", &sample());
    let (_, long) = &sample()[3];
    let ranges = [10..20, 20..25, 500_000..500_100, 15..18, 100..90_000, 10..20, 1_599_990..1_600_000];
    let fetch = |range: &std::ops::Range<u64>| Fetch {
        origin: Origin::Key("layer/1/z0/y0/x0.wkw"),
        part: Part::Range(range.clone()),
    };
    let fetches: Vec<_> = ranges.iter().map(fetch).collect();
    let seen = AtomicUsize::new(0);
    let take = |number: usize, found: Option<wkfast_volume::store::Found<'_>>| {
        let range = &ranges[number];
        assert_eq!(found.unwrap().bytes[..], long[range.start as usize..range.end as usize]);
        seen.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    store.read_batch(&fetches, &take).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| store.read_batch(&fetches, &take)).unwrap();
    assert_eq!(seen.into_inner(), 2 * ranges.len());
}

#[test]
fn a_stream_is_of_one_state_of_an_object_and_may_be_left() {
    let long: Vec<u8> = (0..5_000_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
    let store = in_memory("stream", &[("a", long.clone()), ("empty", Vec::new())]);
    let stamp = store.stamp("a").unwrap().unwrap();
    for range in [0..20_000_000, 0..0, 5..6, 4_194_303..4_194_305, 1_000_000..19_999_999] {
        let mut read = Vec::new();
        store.stream("a", range.clone(), stamp).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == long[range.start as usize..range.end as usize], "{range:?}");
    }
    let mut left = store.stream("a", 0..20_000_000, stamp).unwrap();
    left.read_exact(&mut [0; 100]).unwrap();
    drop(left);
    store.bucket().unwrap().put("a", vec![1; 20_000_000]).unwrap();
    let error = store.stream("a", 0..20_000_000, stamp).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    let error = error.downcast::<VolumeError>().unwrap();
    assert!(matches!(error, VolumeError::Changed { .. }), "{error}");
}

#[test]
fn who_comes_between_is_not_overwritten() {
    let store = in_memory("between", &[("a", b"one".to_vec())]);
    let mut file = store.writer().unwrap().replace("a", 0).unwrap();
    file.write_all(b"two").unwrap();
    // Another process, which knows nothing of the first.
    let address = at("memory://between/some/folder");
    let other = Reached(address);
    let objects = other.connect(&other.settings().unwrap()).unwrap().objects;
    let put = async {
        object_store::ObjectStoreExt::put(&*objects, &"some/folder/a".into(), "three".into()).await.unwrap();
        Ok(())
    };
    super::runtime::wait_for(put).unwrap();
    assert!(file.place().unwrap_err().to_string().contains("was replaced"));
    assert_eq!(store.read("a", 9).unwrap().unwrap(), b"three");
}

#[test]
fn addresses_are_shown_without_secrets() {
    let secret = BTreeMap::from([("aws_secret_access_key".to_owned(), "hush-hush".to_owned())]);
    let address = Address { url: "https://me:hush@host.org/folder/?token=hush".to_owned(), options: secret };
    assert_eq!(address.shown(), "https://host.org/folder");
    assert!(!format!("{address:?}").contains("hush"));
    let parts = |url| (Reached(at(url)).bucket().to_owned(), Reached(at(url)).prefix().unwrap());
    assert_eq!(parts("s3://bucket/a?b@c/"), ("bucket".to_owned(), "a?b@c".to_owned()));
    assert_eq!(parts("http://host:1/a%20b/c"), ("http://host:1".to_owned(), "a b/c".to_owned()));
    assert!(Reached(at("http://host/a?token=hush")).prefix().unwrap_err().to_string().contains("query"));
    assert!(matches!(ObjectFiles::open(at("ftp://a/b")), Err(VolumeError::Unsupported { .. })));
}

#[test]
fn profiles_are_read_as_the_tools_of_aws_write_them() {
    let text = "# mine\n[default]\naws_access_key_id = a=b\n; no\n[profile other]\nregion=x\n[empty]\n";
    let key = BTreeMap::from([("aws_access_key_id".to_owned(), "a=b".to_owned())]);
    assert_eq!(section(text, &["default"]), Some(key));
    assert_eq!(section(text, &["other", "profile other"]).unwrap()["region"], "x");
    assert_eq!(section(text, &["empty"]), Some(BTreeMap::new()));
    assert_eq!(section(text, &["absent"]), None);
}

fn refusal_of(url: &str, name: &str, value: &str) -> String {
    let options = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let error = Reached(Address { url: url.to_owned(), options }).settings().map(drop).unwrap_err();
    assert!(matches!(error, VolumeError::Server { .. }), "{error}");
    error.to_string()
}

#[test]
fn settings_that_no_request_can_be_made_of_are_refused_by_name() {
    for value in ["host:1", "http://", "http://a b", " http://host", "ftp://host", "http://host:x"] {
        let text = refusal_of("s3://b/a", "aws_endpoint_url", value);
        assert!(text.contains("aws_endpoint_url") && text.contains("http://"), "{text}");
    }
    assert!(!refusal_of("s3://b/a", "aws_endpoint_url", "me:hush@host").contains("hush"));
    assert!(!refusal_of("s3://b/a", "aws_session_token", "hush hush").contains("hush"));
    assert!(refusal_of("s3://b/a", "aws_access_key_id", "key\n").contains("line end"));
    assert!(refusal_of("az://b/a", "azure_storage_endpoint", "host").contains("azure_storage_endpoint"));
    let fabric = BTreeMap::from([("azure_use_fabric_endpoint".to_owned(), "false".to_owned())]);
    assert!(Reached(Address { url: "az://b/a".to_owned(), options: fabric }).settings().is_ok());
}

#[test]
fn passwords_of_servers_are_not_shown() {
    let options = BTreeMap::from([("aws_endpoint_url".to_owned(), "http://me:hush@host".to_owned())]);
    let settings = Reached(Address { url: "s3://b/a".to_owned(), options }).settings().unwrap();
    assert_eq!(settings.hide("no way to http://me:hush@host/b"), "no way to http://host/b");
}

#[test]
fn a_panic_of_a_request_is_an_error() {
    let panics = async { if true { panic!("kind: hush") } else { Ok(()) } };
    let error = super::runtime::wait_for(panics).unwrap_err();
    assert!(matches!(error, VolumeError::Server { .. }) && !error.to_string().contains("hush"), "{error}");
}
