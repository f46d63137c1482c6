//! Who creates the schema of a store, and when.

/// What to do about the schema when a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Migrate {
    /// Creates the schema in an empty database; any other must have the schema of this version.
    #[default]
    Create,
    /// The database must have the schema of this version.
    Check,
    /// Creates the schema, or brings an older one to this version.
    Apply,
}
