//! Maps the errors of the pure crates to the classes of `wkfast.errors`, in one place.
