//! Numbers as text, as `prometheus_client` writes them in labels: the same bound of a bucket must
//! be the same label for every reader.

/// A number as Python writes it, but with an exponent from 1e+06 on, as Go does.
pub(super) fn go_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = python_text(number);
    match text.find('.') {
        Some(dot) if number > 0.0 && dot > 6 => {
            let (first, rest) = text.split_at(1);
            let digits = rest.replace('.', "");
            let mantissa = format!("{first}.{digits}");
            let mantissa = mantissa.trim_end_matches(['0', '.']);
            format!("{mantissa}e+{:02}", dot - 1)
        }
        Some(_) | None => text,
    }
}

/// `repr` of Python. Rust writes the same digits, and the exponent without sign and padding.
fn python_text(number: f64) -> String {
    let text = format!("{number:?}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_client_does() {
        // From `floatToGoString` of prometheus_client 0.26.
        for (number, text) in [
            (0.0, "0.0"),
            (0.005, "0.005"),
            (1.0, "1.0"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (123_456.5, "123456.5"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (1_234_567.25, "1.23456725e+06"),
            (-1_234_567.25, "-1234567.25"),
            (1e15, "1e+15"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(go_text(number), text);
        }
    }
}
