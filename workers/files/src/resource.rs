//! A file with its precompressed variants.

use monoceros_http::{AcceptedCodings, Coding, Head};

use crate::identity::FileIdentity;
use crate::representation::Representation;

/// The codings of variants, with the endings of their names, in the order of preference: the
/// smallest files first.
pub(crate) const VARIANTS: [(Coding, &[u8]); 3] =
    [(Coding::Brotli, b".br"), (Coding::Zstd, b".zst"), (Coding::Gzip, b".gz")];

/// The identities of a file and its variants.
pub(crate) type Identities = [Option<FileIdentity>; 1 + VARIANTS.len()];

/// A file, and those of its variants that exist.
#[derive(Debug)]
pub(crate) struct Resource {
    plain: Representation,
    variants: Vec<(Coding, Representation)>,
    codings: Vec<Coding>,
}

impl Resource {
    /// The variants are in the order of preference.
    pub(crate) fn new(plain: Representation, variants: Vec<(Coding, Representation)>) -> Self {
        let codings = variants.iter().map(|(coding, _)| *coding).collect();
        Self { plain, variants, codings }
    }

    /// The representation that a client prefers.
    pub(crate) fn select(&self, head: &Head) -> &Representation {
        if self.codings.is_empty() {
            return &self.plain;
        }
        let preferred = AcceptedCodings::of(head).preferred(&self.codings);
        let variant = self.variants.iter().find(|(coding, _)| Some(*coding) == preferred);
        variant.map_or(&self.plain, |(_, variant)| variant)
    }

    /// All representations.
    pub(crate) fn representations(&self) -> impl Iterator<Item = &Representation> {
        std::iter::once(&self.plain).chain(self.variants.iter().map(|(_, variant)| variant))
    }
}
