//! Addresses of the settings in the messages between two masters: as the texts that the
//! settings have.

/// Serialises several addresses.
pub(crate) mod binds {
    use monoceros_config::Bind;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn parse<E: Error>(text: &str) -> Result<Bind, E> {
        text.parse().map_err(|why| E::custom(format!("cannot take over {text}: {why}")))
    }

    pub(crate) fn serialize<S: Serializer>(binds: &[Bind], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(binds.iter().map(Bind::text))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Bind>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| parse(text)).collect()
    }
}

/// Serialises an address that may be missing.
pub(crate) mod optional_bind {
    use monoceros_config::Bind;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::binds::parse;

    pub(crate) fn serialize<S: Serializer>(bind: &Option<Bind>, to: S) -> Result<S::Ok, S::Error> {
        bind.as_ref().map(Bind::text).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Bind>, D::Error> {
        Option::<String>::deserialize(from)?.as_deref().map(parse).transpose()
    }
}
