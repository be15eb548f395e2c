//! Boxes that a data store cuts out, many chunks with one request. Each is asked for once: whatever else comes than the
//! whole box, chunks have to tell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;
use wkfast_http::{Failure, Head, Kind, OfProcess, Refusal};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::CutOut;

use super::asking::{Asker, SMALL};
use super::refusal::{fills_box, no_answer};

/// Cut-outs of this process on their way at once: a few fill the line.
const AT_ONCE: usize = 64;

static TURNS: OfProcess<Semaphore> = OfProcess::new();

/// The route for boxes of a layer.
#[derive(Debug)]
pub(super) struct Cutter {
    path: String,
    /// Set when the server refused once: it is not asked again.
    is_refused: AtomicBool,
}

impl Cutter {
    /// The route at `path` of the data store; `None` for what is no path.
    pub(super) fn at(path: &str) -> Option<Self> {
        let is_plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && !"?#".contains(letter);
        let is_path = path.starts_with('/') && !path.starts_with("//") && path.chars().all(is_plain);
        is_path.then(|| Self { path: path.to_owned(), is_refused: AtomicBool::new(false) })
    }

    /// Path and query of the request for a box, whose corner is told in mag-1 voxels.
    fn target(&self, box_: &CutOut) -> String {
        let CutOut { mag, topleft, size } = box_;
        let [x, y, z] = [0, 1, 2].map(|axis| topleft[axis].saturating_mul(mag[axis].into()));
        let [width, height, depth] = size;
        let place = format!("mag={}&x={x}&y={y}&z={z}", mag.map(|edge| edge.to_string()).join("-"));
        format!("{}?{place}&width={width}&height={height}&depth={depth}", self.path)
    }

    /// Whether an answer is a box, and whole. One that says that there will be none is the last.
    fn accepts(&self, head: &Head) -> bool {
        if !(200..300).contains(&head.status) {
            // Busy servers and those in trouble may answer the next time.
            self.is_refused.fetch_or(head.status >= 300 && !Refusal::of(head.status).is_passing(), Ordering::Relaxed);
            return false;
        }
        let is_page = head.header("content-type").is_some_and(|kind| kind.starts_with("text/"));
        !is_page && fills_box(head) && head.is_plain()
    }
}

impl Asker {
    /// The voxels of a box, at most `limit` bytes; `None` where chunks have to tell.
    pub(super) async fn cut_out(&self, box_: &CutOut, limit: u64) -> Result<Option<Vec<u8>>> {
        let turns = TURNS.get(|| Ok::<_, VolumeError>(Semaphore::new(AT_ONCE)))?;
        let _turn = turns.acquire().await.map_err(|_| VolumeError::Interrupted)?;
        let Some(cutter) = self.cutter.as_ref().filter(|cutter| !cutter.is_refused.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        let target = cutter.target(box_);
        match self.whole(cutter, &target, limit).await {
            Ok(voxels) => Ok(voxels),
            Err(failure) if failure.kind == Kind::Late => {
                let name = format!("{}{}", self.origin, cutter.path);
                Err(self.error(&name, &no_answer(&failure, &self.access)))
            }
            // Who asks for chunks tries again, and tells what was wrong.
            Err(_) => Ok(None),
        }
    }

    async fn whole(&self, cutter: &Cutter, target: &str, limit: u64) -> std::result::Result<Option<Vec<u8>>, Failure> {
        let end = Instant::now() + self.access.total();
        let mut answer = self.sent(&self.origin, target, self.secrets(true)?, end).await?;
        if !cutter.accepts(answer.head()) {
            // Read to its end, the connection stays.
            answer.rest(SMALL).await?;
            return Ok(None);
        }
        answer.rest(usize::try_from(limit).unwrap_or(usize::MAX)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_asked_for_by_its_corner_in_mag_1_and_its_size_in_the_mag() {
        let box_ = CutOut { mag: [2, 2, 1], topleft: [32, 0, 64], size: [64, 40, 1] };
        let target = Cutter::at("/data/v9/datasets/a/layers/b%20c/data").unwrap().target(&box_);
        let expected = "/data/v9/datasets/a/layers/b%20c/data?mag=2-2-1&x=64&y=0&z=64&width=64&height=40&depth=1";
        assert_eq!(target, expected);
    }

    #[test]
    fn what_leads_elsewhere_is_no_route() {
        for path in ["", "data", "//b/data", "https://b/data", "/data?token=c", "/data#a", "/a b", "/a\r\nb: c"] {
            assert!(Cutter::at(path).is_none(), "{path:?}");
        }
    }
}
