//! Values as bytes: what was read of a file and may never be asked for takes about as much memory as its text.
//!
//! The bytes never leave the process: they have no version, and what unpacks them trusts them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::columns::{IdColumn, NodeNotes, OptionalColumn};
use crate::model::{Element, Extras, Id, MetadataEntry, Number, Segment, StrayBranchpoint, StrayComment};

/// A value that can be kept as bytes.
pub trait Pack: Sized {
    /// Appends the value.
    fn pack(&self, out: &mut Vec<u8>);

    /// The value at the start, which is left behind.
    ///
    /// # Panics
    /// When the bytes are not those of [`Self::pack`].
    fn unpack(from: &mut &[u8]) -> Self;
}

fn take<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    match from.split_first_chunk() {
        Some((head, rest)) => {
            *from = rest;
            *head
        }
        None => unreachable!("packed bytes end early"),
    }
}

/// Seven bits a byte, the lowest first.
impl Pack for u64 {
    #[inline]
    fn pack(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    #[inline]
    fn unpack(from: &mut &[u8]) -> Self {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = take(from);
            value |= Self::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }
}

/// Small numbers of either sign are short.
impl Pack for i64 {
    #[inline]
    fn pack(&self, out: &mut Vec<u8>) {
        (((*self << 1) ^ (*self >> 63)) as u64).pack(out);
    }

    #[inline]
    fn unpack(from: &mut &[u8]) -> Self {
        let value = u64::unpack(from);
        (value >> 1) as Self ^ -((value & 1) as Self)
    }
}

/// As two halves, the upper one only where it says something.
impl Pack for Id {
    #[inline]
    fn pack(&self, out: &mut Vec<u8>) {
        let small = i64::try_from(*self).ok().filter(|value| *value != i64::MIN);
        small.unwrap_or(i64::MIN).pack(out);
        if small.is_none() {
            out.extend_from_slice(&self.to_le_bytes());
        }
    }

    #[inline]
    fn unpack(from: &mut &[u8]) -> Self {
        match i64::unpack(from) {
            i64::MIN => Self::from_le_bytes(take(from)),
            small => small.into(),
        }
    }
}

macro_rules! small {
    ($($type:ty: $wide:ty),*) => {$(
        impl Pack for $type {
            #[inline]
            fn pack(&self, out: &mut Vec<u8>) {
                <$wide>::from(*self).pack(out);
            }

            #[inline]
            fn unpack(from: &mut &[u8]) -> Self {
                <$wide>::unpack(from) as Self
            }
        }
    )*};
}
small!(u32: u64, i32: i64);

impl Pack for usize {
    #[inline]
    fn pack(&self, out: &mut Vec<u8>) {
        (*self as u64).pack(out);
    }

    #[inline]
    fn unpack(from: &mut &[u8]) -> Self {
        u64::unpack(from) as Self
    }
}

impl Pack for bool {
    #[inline]
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn unpack(from: &mut &[u8]) -> Self {
        take::<1>(from) != [0]
    }
}

impl Pack for f64 {
    #[inline]
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn unpack(from: &mut &[u8]) -> Self {
        Self::from_le_bytes(take(from))
    }
}

impl Pack for String {
    fn pack(&self, out: &mut Vec<u8>) {
        self.len().pack(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn unpack(from: &mut &[u8]) -> Self {
        let len = usize::unpack(from);
        let (text, rest) = from.split_at(len);
        *from = rest;
        Self::from_utf8(text.to_vec()).unwrap_or_default()
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.len().pack(out);
        for value in self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        let len = usize::unpack(from);
        (0..len).map(|_| T::unpack(from)).collect()
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.is_some().pack(out);
        if let Some(value) = self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        bool::unpack(from).then(|| T::unpack(from))
    }
}

impl<T: Pack, const N: usize> Pack for [T; N] {
    fn pack(&self, out: &mut Vec<u8>) {
        for value in self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        std::array::from_fn(|_| T::unpack(from))
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
        self.1.pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Self {
        (A::unpack(from), B::unpack(from))
    }
}

impl<K: Pack + Ord, V: Pack> Pack for BTreeMap<K, V> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.len().pack(out);
        for (key, value) in self {
            key.pack(out);
            value.pack(out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        let len = usize::unpack(from);
        (0..len).map(|_| <(K, V)>::unpack(from)).collect()
    }
}

impl Pack for Number {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => (true, *value).pack(out),
            Self::Float(value) => (false, *value).pack(out),
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        if bool::unpack(from) { Self::Int(Id::unpack(from)) } else { Self::Float(f64::unpack(from)) }
    }
}

impl Pack for IdColumn {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Narrow(values) => {
                (2 * values.len()).pack(out);
                for value in values {
                    value.pack(out);
                }
            }
            Self::Wide(values) => {
                (2 * values.len() + 1).pack(out);
                for value in values {
                    value.pack(out);
                }
            }
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        let (len, wide) = packed_length(from);
        if wide {
            Self::Wide((0..len).map(|_| Id::unpack(from)).collect())
        } else {
            Self::Narrow((0..len).map(|_| i64::unpack(from)).collect())
        }
    }
}

/// Number of the values of an [`IdColumn`] that begins here, and whether they are wide.
pub(crate) fn packed_length(from: &mut &[u8]) -> (usize, bool) {
    let code = usize::unpack(from);
    (code / 2, code % 2 == 1)
}

/// Nearly all extras are empty: one byte then.
impl Pack for Extras {
    fn pack(&self, out: &mut Vec<u8>) {
        self.is_empty().pack(out);
        if !self.is_empty() {
            self.attributes.pack(out);
            self.elements.pack(out);
            self.text.pack(out);
            self.containers.pack(out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Self {
        if bool::unpack(from) {
            return Self::default();
        }
        Self {
            attributes: Pack::unpack(from),
            elements: Pack::unpack(from),
            text: Pack::unpack(from),
            containers: Pack::unpack(from),
        }
    }
}

/// Field after field.
macro_rules! fields {
    ([$($generics:tt)*] $type:ty { $($field:ident),* }) => {
        impl<$($generics)*> $crate::pack::Pack for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                $(self.$field.pack(out);)*
            }

            fn unpack(from: &mut &[u8]) -> Self {
                Self { $($field: $crate::pack::Pack::unpack(from)),* }
            }
        }
    };
    ($type:ty { $($field:ident),* }) => { $crate::pack::fields!([] $type { $($field),* }); };
}
pub(crate) use fields;

fields!(Element { name, attributes, children, text });
fields!(MetadataEntry { key, string, number, bool, list, extras });
fields!(NodeNotes { comments, branchpoints, extras, comment_extras, branchpoint_extras });
fields!([T: Pack] OptionalColumn<T> { values, absent });
fields!(StrayBranchpoint { node_id, time, extras });
fields!(StrayComment { node_id, content, extras });
fields!(Segment {
    id,
    name,
    created,
    anchor_position,
    additional_coordinates,
    color,
    group_id,
    is_visible,
    metadata,
    extras
});

/// A list whose items are made when they are asked for.
///
/// ```
/// use wkfast_nml::model::StrayComment;
/// use wkfast_nml::PackedList;
/// let mut list = PackedList::default();
/// list.push(&StrayComment { node_id: 5, ..StrayComment::default() });
/// assert_eq!(list.iter().map(|comment| comment.node_id).collect::<Vec<_>>(), [5]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PackedList<T> {
    bytes: Vec<u8>,
    len: usize,
    items: PhantomData<fn() -> T>,
}

impl<T> Default for PackedList<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), len: 0, items: PhantomData }
    }
}

impl<T: Pack> PackedList<T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: &T) {
        item.pack(&mut self.bytes);
        self.len += 1;
    }

    /// All items, one by one.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let mut rest = &self.bytes[..];
        (0..self.len).map(move |_| T::unpack(&mut rest))
    }

    /// The item that begins at a byte, and the byte where the next one begins; `None` at the end.
    pub fn at(&self, byte: usize) -> Option<(T, usize)> {
        let mut rest = self.bytes.get(byte..).filter(|rest| !rest.is_empty())?;
        let item = T::unpack(&mut rest);
        Some((item, self.bytes.len() - rest.len()))
    }

    /// Gives memory back that growing took in advance.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

impl<T: Pack> FromIterator<T> for PackedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = Self::default();
        items.into_iter().for_each(|item| list.push(&item));
        list
    }
}

impl<T: Pack + fmt::Debug> fmt::Debug for PackedList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Pack + Serialize> Serialize for PackedList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, T: Pack + Deserialize<'de>> Deserialize<'de> for PackedList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<fn() -> T>);

impl<'de, T: Pack + Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = PackedList<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PackedList<T>, A::Error> {
        let mut list = PackedList::default();
        while let Some(item) = items.next_element()? {
            list.push(&item);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked<T: Pack>(value: &T) -> T {
        let mut bytes = Vec::new();
        value.pack(&mut bytes);
        let mut rest = &bytes[..];
        let value = T::unpack(&mut rest);
        assert!(rest.is_empty(), "{} bytes are left", rest.len());
        value
    }

    proptest! {
        #[test]
        fn numbers_come_back(id: Id, wide: i64, narrow: i32, count: u64, float in prop::num::f64::ANY) {
            prop_assert_eq!(unpacked(&(id, wide)), (id, wide));
            prop_assert_eq!(unpacked(&(narrow, count)), (narrow, count));
            prop_assert_eq!(unpacked(&float).to_bits(), float.to_bits());
        }

        #[test]
        fn texts_lists_and_maps_come_back(texts: Vec<Option<String>>, map: BTreeMap<u32, (String, bool)>) {
            prop_assert_eq!(unpacked(&texts), texts);
            prop_assert_eq!(unpacked(&map), map);
        }

        #[test]
        fn ids_come_back_in_their_width(ids: Vec<Id>, narrow: Vec<i64>) {
            let (wide, narrow) = (IdColumn::Wide(ids), IdColumn::Narrow(narrow));
            prop_assert_eq!(unpacked(&wide), wide);
            prop_assert_eq!(unpacked(&narrow), narrow);
        }

        #[test]
        fn a_list_gives_back_its_items_in_order_and_one_by_one(items: Vec<(Id, Option<String>)>) {
            let comment = |(node_id, content)| StrayComment { node_id, content, extras: Extras::default() };
            let items: Vec<_> = items.into_iter().map(comment).collect();
            let list: PackedList<_> = items.iter().cloned().collect();
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), items.clone());
            let (mut at, mut found) = (0, Vec::new());
            while let Some((item, next)) = list.at(at) {
                found.push(item);
                at = next;
            }
            prop_assert_eq!(found, items);
        }
    }

    #[test]
    fn the_ends_of_all_numbers_come_back() {
        for id in [Id::MIN, Id::from(i64::MIN) - 1, i64::MIN.into(), -1, 0, i64::MAX.into(), 1 << 64, Id::MAX] {
            assert_eq!(unpacked(&id), id);
        }
        for value in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(unpacked(&value), value);
        }
        assert_eq!(unpacked(&u64::MAX), u64::MAX);
    }

    #[test]
    fn extras_come_back() {
        let element =
            Element { name: "a".into(), text: "t".into(), children: vec![Element::default()], ..Element::default() };
        let inner = Extras { text: "x".into(), ..Extras::default() };
        let extras = Extras {
            attributes: vec![("k".into(), "v".into())],
            elements: vec![element],
            text: String::new(),
            containers: [("nodes".to_owned(), inner)].into(),
        };
        assert_eq!(unpacked(&extras), extras);
        assert_eq!(unpacked(&Extras::default()), Extras::default());
    }
}
