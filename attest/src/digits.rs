//! Hexadecimal digits in bulk. Lists of measured files are mostly digits: nothing here branches on one, since guessing
//! wrong at half of them would cost more than all the rest of reading a list.

/// Whether all are digits as the kernel prints them: lower case.
pub(crate) fn are_lower(digits: &[u8]) -> bool {
    digits.iter().fold(true, |all, digit| {
        let decimal = digit.wrapping_sub(b'0') < 10;
        let letter = digit.wrapping_sub(b'a') < 6;
        all & (decimal | letter)
    })
}

/// Writes the bytes that digits of either case stand for behind `bytes`; what is no digit gives some byte, so look first.
/// A last digit without another one is left out.
pub(crate) fn decode(digits: &[u8], bytes: &mut Vec<u8>) {
    let from = bytes.len();
    bytes.resize(from.saturating_add(digits.len() / 2), 0);
    let (eights, rest) = digits.as_chunks::<8>();
    let (fours, ends) = bytes.get_mut(from..).unwrap_or_default().as_chunks_mut::<4>();
    for (to, eight) in fours.iter_mut().zip(eights) {
        *to = four(*eight);
    }
    for (to, pair) in ends.iter_mut().zip(rest.as_chunks::<2>().0) {
        *to = byte(*pair);
    }
}

/// The byte that two digits of either case stand for.
pub(crate) fn byte([high, low]: [u8; 2]) -> u8 {
    nibble(high) << 4 | nibble(low)
}

fn nibble(digit: u8) -> u8 {
    (digit & 15).wrapping_add((digit >> 6).wrapping_mul(9))
}

/// Eight digits at once, in the lanes of one word.
fn four(digits: [u8; 8]) -> [u8; 4] {
    const LANES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(digits);
    let nibbles = (word & LANES.wrapping_mul(15)).wrapping_add((word >> 6 & LANES).wrapping_mul(9));
    // Each digit onto its neighbour, then the four bytes together.
    let pairs = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let twos = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    let [a, b, _, _, c, d, _, _] = twos.to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_value_and_nothing_else_is_one() {
        for (value, (lower, upper)) in (0..).zip(b"0123456789abcdef".iter().zip(b"0123456789ABCDEF")) {
            assert_eq!((nibble(*lower), nibble(*upper)), (value, value));
        }
        for byte in 0..=u8::MAX {
            let lower = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert_eq!(are_lower(&[byte]), lower, "{byte}");
            assert_eq!(are_lower(&[b'0', byte, b'f']), lower, "{byte}");
        }
        assert_eq!(byte(*b"a5"), 0xa5);
    }

    #[test]
    fn runs_of_every_length_are_decoded_as_their_pairs() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let text = hex::encode(&all).into_bytes();
        for length in 0..40 {
            for start in [0, 1, 200, 470] {
                let (digits, from) = (&text[start..start + length], b"before");
                let mut bytes = from.to_vec();
                decode(digits, &mut bytes);
                let pairs: Vec<u8> = digits.as_chunks::<2>().0.iter().copied().map(byte).collect();
                assert_eq!(bytes, [&from[..], &pairs].concat(), "{length} from {start}");
            }
        }
        let mut bytes = Vec::new();
        decode(&text, &mut bytes);
        assert_eq!(bytes, all);
        bytes.clear();
        decode(&text.to_ascii_uppercase(), &mut bytes);
        assert_eq!(bytes, all);
    }
}
