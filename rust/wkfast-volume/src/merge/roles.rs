//! Which mags the result has, and which of each annotation's mags lies over which of the fallback's.

use super::dtype;
use super::input::MagChoice;
use super::sides::{Listed, Side};
use crate::error::{Result, VolumeError};
use crate::format::DataFormat;
use crate::geometry::Mag;
use crate::voxels::VoxelType;

/// What becomes of each mag.
#[derive(Debug)]
pub(super) struct Roles<'s> {
    pub(super) kept: Vec<MagRoles<'s>>,
    pub(super) ignored: Vec<Mag>,
    pub(super) left_out: Vec<Mag>,
}

/// A mag of the result: the fallback's, and what lies over it, with the annotation's number.
#[derive(Debug)]
pub(super) struct MagRoles<'s> {
    pub(super) under: &'s Listed<'s>,
    pub(super) over: Vec<(usize, Role<'s>)>,
}

/// Where an annotation's part of a mag comes from.
#[derive(Clone, Debug)]
pub(super) enum Role<'s> {
    Own(&'s Listed<'s>),
    Recompute { from: usize, factor: [u32; 3] },
}

impl<'s> Roles<'s> {
    pub(super) fn assign(choice: MagChoice, annotations: &'s [Side<'s>], fallback: &'s Side<'s>) -> Result<Self> {
        if fallback.mags.is_empty() {
            return Err(VolumeError::Mismatch("the fallback layer has no mags".to_owned()));
        }
        let painted: Vec<(usize, &Side)> =
            annotations.iter().enumerate().filter(|(_, side)| !side.is_empty()).collect();
        let finest = match painted.as_slice() {
            [] if choice == MagChoice::All => None,
            [] => finest_common(annotations.iter(), fallback)?,
            sides => finest_common(sides.iter().map(|(_, side)| *side), fallback)?,
        };
        let mut roles = Self { kept: Vec::new(), ignored: Vec::new(), left_out: Vec::new() };
        for under in &fallback.mags {
            let left_out = choice == MagChoice::Finest && finest.is_some_and(|finest| under.mag() != finest);
            match roles.over(under.mag(), &painted).filter(|_| !left_out) {
                Some(over) => roles.kept.push(MagRoles { under, over }),
                None => roles.left_out.push(under.mag()),
            }
        }
        let missing = |listed: &&Listed| fallback.find(listed.mag()).is_none();
        roles.ignored = annotations.iter().flat_map(|side| &side.mags).filter(missing).map(Listed::mag).collect();
        roles.ignored.sort_unstable();
        roles.ignored.dedup();
        Ok(roles)
    }

    /// What every annotation lays over `mag`, `None` if one of them has nothing to fill it from.
    fn over(&self, mag: Mag, painted: &[(usize, &'s Side<'s>)]) -> Option<Vec<(usize, Role<'s>)>> {
        painted.iter().map(|&(number, side)| Some((number, self.role(mag, side)?))).collect()
    }

    fn role(&self, mag: Mag, side: &'s Side<'s>) -> Option<Role<'s>> {
        let finest = side.mags.first()?;
        // A coarser mag without a single chunk, where the finest has some, was never filled: it says nothing.
        let says = |own: &&Listed| mag == finest.mag() || finest.chunks.is_empty() || !own.chunks.is_empty();
        side.find(mag).filter(says).map(Role::Own).or_else(|| self.finer_mag(mag))
    }

    /// The coarsest mag so far whose voxels fill one of `mag` exactly.
    fn finer_mag(&self, mag: Mag) -> Option<Role<'s>> {
        self.kept.iter().enumerate().rev().find_map(|(from, kept)| {
            let finer = kept.under.mag().0;
            let divides = (0..3).all(|axis| mag.0[axis].is_multiple_of(finer[axis]));
            divides.then(|| Role::Recompute { from, factor: std::array::from_fn(|axis| mag.0[axis] / finer[axis]) })
        })
    }
}

/// The finest mag of annotations, which must be the same of all and one of the fallback's; `None` if they have none.
///
/// Were they different, the paint of the coarser one would be missing in the finer mag.
fn finest_common<'s>(sides: impl Iterator<Item = &'s Side<'s>>, fallback: &Side) -> Result<Option<Mag>> {
    let mut finest: Option<(&Side, Mag)> = None;
    for side in sides {
        let Some(mag) = side.mags.first().map(Listed::mag) else { continue };
        if fallback.find(mag).is_none() {
            return Err(VolumeError::Missing {
                what: format!("mag {mag} of the fallback layer, the finest of the {},", side.name),
                hint: format!("the {} has {}, the fallback has {}", side.name, side.names(), fallback.names()),
            });
        }
        if let Some((other, before)) = finest.filter(|&(_, before)| before != mag) {
            return Err(VolumeError::Mismatch(format!(
                "the {} begins at mag {before}, the {} at mag {mag}: what was painted in the coarser one is missing in \
                 the finer; merge them one after the other, or bring them to the same finest mag",
                other.name, side.name,
            )));
        }
        finest = Some((side, mag));
    }
    Ok(finest.map(|(_, mag)| mag))
}

/// One type for the whole layer, as `datasource-properties.json` has one: the fallback's, or the widest of the
/// annotations' if that is wider.
pub(super) fn check_types(roles: &Roles, fallback: &Side) -> Result<VoxelType> {
    let first = fallback.mags[0].grid();
    if let Some(odd) = fallback.mags.iter().find(|listed| listed.grid().voxel_type != first.voxel_type) {
        let (found, expected) = (odd.grid().voxel_type.name(), first.voxel_type.name());
        return Err(VolumeError::Mismatch(format!(
            "{}: has voxels of type {found} while mag {} of the same layer has {expected}",
            odd.name(),
            fallback.mags[0].mag(),
        )));
    }
    let mut voxel_type = first.voxel_type;
    for MagRoles { under, over } in &roles.kept {
        for (_, role) in over {
            let Role::Own(over) = role else { continue };
            check_shapes(over, under)?;
            voxel_type = dtype::common(voxel_type, over.grid().voxel_type).ok_or_else(|| {
                let (over_type, under_type) = (over.grid().voxel_type.name(), voxel_type.name());
                VolumeError::Mismatch(format!(
                    "voxels of type {over_type} ({}) cannot be laid over {under_type} ({}): neither type holds all \
                     values of the other; convert one layer first",
                    over.name(),
                    under.name(),
                ))
            })?;
        }
    }
    Ok(voxel_type)
}

fn check_shapes(over: &Listed, under: &Listed) -> Result<()> {
    let (above, below) = (over.grid(), under.grid());
    let differ = |what: &str, above: String, below: String| {
        let (over, under) = (over.name(), under.name());
        Err(VolumeError::Mismatch(format!("{what} differ: {above} in {over}, {below} in {under}")))
    };
    if above.channels != below.channels {
        return differ("channels", above.channels.to_string(), below.channels.to_string());
    }
    if above.extra_axes != below.extra_axes {
        return differ("additional axes", format!("{:?}", above.extra_axes), format!("{:?}", below.extra_axes));
    }
    if over.source.location.format == DataFormat::Wkw && above.chunks_in_shard() > 1 {
        let [x, y, z] = above.chunks_per_shard;
        return Err(VolumeError::Mismatch(format!(
            "{}: annotations in WKW have one block per file, these files have {x} x {y} x {z}, so untouched blocks \
             cannot be told from erased ones",
            over.name(),
        )));
    }
    Ok(())
}
