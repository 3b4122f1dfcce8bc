//! Memory in proportion to the input: a length that is declared and not there must cost nothing.

/// Runs `read` and fails if it ever holds more than `factor` bytes for each byte of input, and `base` besides.
#[track_caller]
pub(crate) fn bounded(input: &[u8], factor: usize, base: usize, read: impl FnOnce()) {
    let used = allocation_counter::measure(read);
    let limit = input.len().saturating_mul(factor).saturating_add(base);
    assert!(
        usize::try_from(used.bytes_max).is_ok_and(|bytes| bytes <= limit),
        "{} bytes were held for {} bytes of input; at most {limit} are allowed",
        used.bytes_max,
        input.len()
    );
}
