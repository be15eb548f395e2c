//! Buckets: stores of objects that processes of many machines change at the same time.

use std::io::{self, Seek, Write};

use super::ReadStore;
use crate::error::Result;

/// What tells an object from the one that takes its place, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its tag.
    pub tag: Option<String>,
    /// Its number, where the server keeps old ones.
    pub number: Option<String>,
}

/// A store whose server decides who came first.
pub trait BucketStore: Send + Sync {
    /// The whole object and its version; `None` if there is none. Refuses objects larger than `limit` bytes.
    fn read_version(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>>;

    /// Makes `content` the object, whatever was there.
    fn put(&self, key: &str, content: Vec<u8>) -> Result<()>;

    /// Makes `content` the object if it is still of the version `expected`, or if there is still none. `None`, and nothing is
    /// done, where somebody else came first.
    ///
    /// A server that knows no conditions is asked first and told then: between the two, another one may come.
    fn put_if(&self, key: &str, content: Vec<u8>, expected: Option<&Version>) -> Result<Option<Version>>;

    /// Removes objects. Those that are not there are passed over.
    fn remove(&self, keys: &[String]) -> Result<()>;

    /// Removes the object if what it holds is `own`. For those who leave: signals do not end it, and it gives up after some
    /// seconds.
    fn release(&self, key: &str, own: &dyn Fn(&[u8]) -> bool) -> Result<()>;

    /// Starts an object that is sent while it is made, and takes its place with the last of it.
    fn upload(&self, key: &str) -> Result<Box<dyn Upload>>;

    /// Lets the server make a copy of the object `from` of `source`, of `size` bytes. False, and nothing is done, where it
    /// cannot.
    fn copy_from(&self, source: &dyn ReadStore, from: &str, size: u64, to: &str) -> Result<bool>;
}

/// An object under construction, of which all but the first mebibytes have left memory already: who goes back can rewrite
/// those. Dropped before it is finished, it leaves nothing; a killed process leaves parts that no reader sees, until the
/// bucket's rules remove them.
pub trait Upload: Write + Seek + Send {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// Puts the object in its place and returns its size.
    fn finish(&mut self) -> io::Result<u64>;
}
