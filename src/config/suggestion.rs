//! Suggests the known word that is nearest to an unknown one: "did you mean".

/// The candidate that `word` abbreviates or misspells, if exactly one is near.
pub(crate) fn nearest<S: AsRef<str>>(word: &str, candidates: &[S]) -> Option<String> {
    let candidates = || candidates.iter().map(AsRef::as_ref);
    let mut longer = candidates().filter(|known| word.len() > 1 && known.starts_with(word));
    if let (Some(only), None) = (longer.next(), longer.next()) {
        return Some(only.to_owned());
    }
    let distance = |known: &str| strsim::damerau_levenshtein(word, known);
    candidates()
        .min_by_key(|known| distance(known))
        .filter(|known| distance(known) <= (known.chars().count() / 3).max(1))
        .map(str::to_owned)
}

/// The end of an error about an unknown word: the suggestion, or an empty text.
pub(crate) fn question<S: AsRef<str>>(word: &str, candidates: &[S]) -> String {
    nearest(word, candidates).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_an_abbreviation_is_recognised() {
        let known = ["timeout", "threads", "graceful-timeout"];
        assert_eq!(nearest("timout", &known).as_deref(), Some("timeout"));
        assert_eq!(nearest("thraeds", &known).as_deref(), Some("threads"));
        assert_eq!(nearest("grace", &known).as_deref(), Some("graceful-timeout"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(question("banana", &known), "");
    }
}
