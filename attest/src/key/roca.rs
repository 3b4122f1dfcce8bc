//! The fingerprint of keys that Infineon's faulty generator made (ROCA, CVE-2017-15361; Nemec et al., CCS 2017).

/// The primes for which the powers of 65537 do not fill the whole group, so that membership says something.
const PRIMES: [u64; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

/// Whether the modulus is a power of 65537 modulo every one of the primes. A sound key is so once in 2^27 or so.
pub(super) fn is_fingerprint(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|&prime| is_power_of_65537(residue(modulus, prime), prime))
}

fn residue(number: &[u8], prime: u64) -> u64 {
    // Below 2^16 at every step.
    number.iter().fold(0, |rest, byte| {
        (rest << 8 | u64::from(*byte))
            .checked_rem(prime)
            .unwrap_or_default()
    })
}

fn is_power_of_65537(residue: u64, prime: u64) -> bool {
    let mut power = 1;
    // A group modulo a prime below 256 has fewer than 256 elements.
    for _ in 0..prime {
        if power == residue {
            return true;
        }
        power = 65537_u64
            .wrapping_mul(power)
            .checked_rem(prime)
            .unwrap_or_default();
    }
    false
}
