//! Makes the types of settings whose value is one of a few words.

/// Makes an enum of words. Each variant has its word, further spellings of it, and its
/// meaning, which the printed pages show. `takes` is the arity of the setting. With `none` the
/// words can be items of a list, separated by commas; its words stand for an empty list.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        $name:ident, takes $takes:expr $(, none $($none:literal)|+)?;
        $($variant:ident = $word:literal $(| $also:literal)*, $meaning:literal;)+
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`: ", $meaning, ".")] $variant,)+
        }

        impl $name {
            /// The words with their meanings, for the printed pages.
            pub(crate) const CHOICES: &'static [(&'static str, &'static str)] =
                &[$(($word, $meaning),)+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::value::Value for $name {
            const TAKES: $crate::row::Arity = $takes;
            $(
                const NONE: &'static [&'static str] = &[$($none),+];
                const SPLIT: bool = true;

                fn check_list(items: &[Self]) -> Result<(), String> {
                    $crate::value::each_once(items)
                }
            )?

            fn parse(text: &str, _: $crate::row::Bounds) -> Result<Self, String> {
                match text.to_ascii_lowercase().as_str() {
                    $($word $(| $also)* => Ok(Self::$variant),)+
                    _ => {
                        let words: Vec<_> = Self::CHOICES.iter().map(|(word, _)| *word).collect();
                        Err(format!("{text:?} is not one of {}", words.join(", ")))
                    }
                }
            }

            fn texts(&self) -> Vec<String> {
                vec![self.word().to_owned()]
            }
        }
    };
}
pub(crate) use choice;
