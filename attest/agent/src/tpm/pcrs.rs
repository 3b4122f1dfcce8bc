//! A quote and the PCR values that belong to it.

use lazaret_wire::{Bank, PcrValue};
use sha2::{Digest as _, Sha256};
use tss_esapi::{
    Context,
    handles::KeyHandle,
    structures::{AttestInfo, Data, PcrSelectionList, SignatureScheme},
    traits::Marshall,
    tss2_esys::{TPML_PCR_SELECTION, TPMS_PCR_SELECTION},
};

use super::{Quoted, TpmError, attestation_key::wrong_value, error::refused};

/// A quote takes some 20 ms; PCR 10 of a busy host moves a few times a second.
const TRIES: u32 = 10;

/// TPM2_PCR_Read gives at most 8 values a command; four banks of 24 registers are 12 commands.
const READS: u32 = 16;

/// Quotes until the values read just before or just after are those that were signed.
pub(super) fn quote_steady(
    context: &mut Context,
    key: KeyHandle,
    banks: &[Bank],
    qualifying_data: &[u8; 32],
) -> Result<Quoted, TpmError> {
    let selection = selection(banks)?;
    let mut values = read(context, banks)?;
    for _ in 0..TRIES {
        let signed = quote(context, key, banks, &selection, qualifying_data)?;
        if digest(&values) != signed.pcr_digest {
            values = read(context, banks)?;
        }
        if digest(&values) == signed.pcr_digest {
            return Ok(Quoted {
                quote: signed.quote,
                signature: signed.signature,
                pcrs: values,
            });
        }
    }
    Err(TpmError::Unsteady { tries: TRIES })
}

struct Signed {
    quote: Vec<u8>,
    signature: Vec<u8>,
    pcr_digest: Vec<u8>,
}

fn quote(
    context: &mut Context,
    key: KeyHandle,
    banks: &[Bank],
    selection: &PcrSelectionList,
    qualifying_data: &[u8; 32],
) -> Result<Signed, TpmError> {
    let refused = refused("quote");
    let data = Data::try_from(qualifying_data.to_vec()).map_err(&refused)?;
    // An HMAC session covers the key's Name: another program's key in the same slot would not be used by mistake.
    let (attest, signature) = context
        .execute_with_nullauth_session(|context| {
            context.quote(key, data, SignatureScheme::Null, selection.clone())
        })
        .map_err(&refused)?;
    let AttestInfo::Quote { info } = attest.attested() else {
        return Err(refused(wrong_value()));
    };
    if masks(&info.pcr_selection().clone().into()) != asked_masks(banks) {
        return Err(TpmError::NoSuchPcr(names(banks)));
    }
    Ok(Signed {
        quote: attest.marshall().map_err(&refused)?,
        signature: signature.marshall().map_err(&refused)?,
        pcr_digest: info.pcr_digest().to_vec(),
    })
}

/// The values in the order of the selection.
fn read(context: &mut Context, banks: &[Bank]) -> Result<Vec<PcrValue>, TpmError> {
    let refused = refused("read PCRs");
    let mut missing = banks.to_vec();
    let mut values = Vec::new();
    for _ in 0..READS {
        missing.retain(|bank| !bank.pcrs.is_empty());
        if missing.is_empty() {
            let place = |value: &PcrValue| (banks.iter().position(|bank| bank.alg == value.alg), value.index);
            values.sort_by_key(place);
            return Ok(values);
        }
        let wanted = selection(&missing)?;
        let (_, given, digests) = context
            .execute_without_session(|context| context.pcr_read(wanted))
            .map_err(&refused)?;
        let mut digests = digests.value().iter();
        for (alg, mask) in masks(&given.into()) {
            for index in (0..24u8).filter(|index| mask >> index & 1 == 1) {
                let Some(digest) = digests.next() else {
                    return Err(refused(wrong_value()));
                };
                values.push(PcrValue {
                    alg,
                    index,
                    digest: digest.to_vec(),
                });
                for bank in missing.iter_mut().filter(|bank| bank.alg == alg) {
                    bank.pcrs.retain(|pcr| *pcr != index);
                }
            }
        }
    }
    // What a TPM does not have, it leaves out.
    Err(TpmError::NoSuchPcr(names(&missing)))
}

/// In the order that was asked for: the builder of `PcrSelectionList` keeps its banks in a hash map, and a verifier wants the quote to
/// say exactly what it asked.
fn selection(banks: &[Bank]) -> Result<PcrSelectionList, TpmError> {
    let mut list = TPML_PCR_SELECTION::default();
    for (slot, (alg, mask)) in list.pcrSelections.iter_mut().zip(asked_masks(banks)) {
        *slot = TPMS_PCR_SELECTION {
            hash: alg,
            sizeofSelect: 3,
            pcrSelect: mask.to_le_bytes(),
        };
        list.count += 1;
    }
    PcrSelectionList::try_from(list).map_err(|_| TpmError::NoSuchPcr(names(banks)))
}

fn asked_masks(banks: &[Bank]) -> Vec<(u16, u32)> {
    banks
        .iter()
        .map(|bank| {
            (
                bank.alg,
                bank.pcrs
                    .iter()
                    .filter(|pcr| **pcr < 24)
                    .fold(0, |mask, pcr| mask | 1 << pcr),
            )
        })
        .collect()
}

fn masks(list: &TPML_PCR_SELECTION) -> Vec<(u16, u32)> {
    list.pcrSelections
        .iter()
        .take(list.count as usize)
        .map(|bank| (bank.hash, u32::from_le_bytes(bank.pcrSelect)))
        .collect()
}

/// As the TPM hashes them for a key whose scheme uses SHA-256, which ours does.
fn digest(values: &[PcrValue]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(&value.digest);
    }
    hash.finalize().to_vec()
}

fn names(banks: &[Bank]) -> String {
    let bank = |bank: &Bank| format!("bank {:#06x}: {:?}", bank.alg, bank.pcrs);
    banks.iter().map(bank).collect::<Vec<_>>().join(", ")
}
