//! Mags between the data zips of annotations and folders: [`unpack`] makes a folder of a mag, [`pack`] a data zip of
//! mags. Encoded chunks travel as they are where both sides spell them alike, and a batch of them is all that is ever in
//! memory.

mod archive;
mod form;
mod labels;
mod recode;
mod unpack;

#[cfg(test)]
mod tests;

pub use self::archive::{Count, Overlay, PackMag, Packed, pack};
pub use self::form::annotation_form;
pub use self::labels::largest_label;
pub use self::unpack::{Form, Unpacked, unpack};
