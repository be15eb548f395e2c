//! The fallback merge: plan, run, commit.
