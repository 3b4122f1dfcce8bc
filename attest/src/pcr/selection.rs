//! Which PCRs of which banks: as typed, as asked of a TPM, as signed by it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{HashAlg, UnknownHash};
use crate::reader::{ReadError, Reader};

/// PCR_SELECT_MIN of the PC Client profile: 24 registers, 3 bytes. Any other size is not canonical there.
const SELECT_SIZE: usize = 3;
/// Registers of a bank.
const REGISTERS: u8 = 24;
/// HASH_COUNT of the TPM reference code, rounded up: no TPM has more banks.
const MAX_BANKS: usize = 16;

/// PCRs by bank. The order of banks is part of it: a TPM signs the selection in the order in which it was asked, so two
/// selections are equal only if their banks stand in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selection {
    banks: Vec<(HashAlg, Mask)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Mask([u8; SELECT_SIZE]);

/// Why something is no selection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// The bytes of a TPML_PCR_SELECTION do not parse.
    #[error("the PCR selection cannot be read: {0}")]
    Read(#[from] ReadError),
    /// No bank at all, or a bank without a register, where one was asked for.
    #[error("a PCR selection needs at least one register in each bank, such as sha256:0,1,7")]
    Empty,
    /// One bank stands twice.
    #[error("bank {0} stands twice in a PCR selection")]
    DuplicateBank(HashAlg),
    /// A register stands twice in a typed selection.
    #[error("PCR {0} stands twice in a bank of a PCR selection")]
    DuplicateRegister(u8),
    /// A bank whose algorithm is not known here.
    #[error("a PCR selection names the unknown hash algorithm {0:#06x}")]
    UnknownBank(u16),
    /// A bank's name that is not known.
    #[error("in a PCR selection: {0}")]
    UnknownName(#[from] UnknownHash),
    /// A selection bitmap that is not of three bytes.
    #[error("a PCR selection has a bitmap of {0} bytes; 24 registers take 3")]
    BitmapSize(u8),
    /// No register has this number.
    #[error("\"{0}\" is no PCR; they are numbered 0 to 23")]
    Register(String),
    /// Text of another form.
    #[error("\"{0}\" is no PCR selection; write bank:registers, such as sha256:0,1,7 or sha256:0-7+sha1:10")]
    Form(String),
}

impl Selection {
    /// Selects registers of banks, in the order given.
    pub fn new<'a>(
        banks: impl IntoIterator<Item = (HashAlg, &'a [u8])>,
    ) -> Result<Selection, SelectionError> {
        let mut selection = Selection { banks: Vec::new() };
        for (bank, registers) in banks {
            let mut mask = Mask([0; SELECT_SIZE]);
            for &register in registers {
                if register >= REGISTERS {
                    return Err(SelectionError::Register(register.to_string()));
                }
                if mask.contains(register) {
                    return Err(SelectionError::DuplicateRegister(register));
                }
                mask.insert(register);
            }
            if mask.is_empty() {
                return Err(SelectionError::Empty);
            }
            selection.push(bank, mask)?;
        }
        if selection.banks.is_empty() {
            return Err(SelectionError::Empty);
        }
        Ok(selection)
    }

    /// Reads a TPML_PCR_SELECTION. A bank without a register is read as such: a TPM answers so for a bank it does not
    /// keep, and the comparison with what was asked must see it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Selection, SelectionError> {
        let count = reader.count_u32_be(MAX_BANKS, "the number of PCR banks")?;
        let mut selection = Selection { banks: Vec::new() };
        for _ in 0..count {
            let id = reader.u16_be("the hash algorithm of a PCR bank")?;
            let size = reader.u8("the size of a PCR bitmap")?;
            if usize::from(size) != SELECT_SIZE {
                return Err(SelectionError::BitmapSize(size));
            }
            let mask = Mask(reader.array("a PCR bitmap")?);
            let bank = HashAlg::from_id(id).ok_or(SelectionError::UnknownBank(id))?;
            selection.push(bank, mask)?;
        }
        Ok(selection)
    }

    /// The selection as a TPML_PCR_SELECTION.
    pub fn to_bytes(&self) -> Vec<u8> {
        // At most one entry for each HashAlg, so the count always fits.
        let count = u32::try_from(self.banks.len()).unwrap_or(u32::MAX);
        let mut bytes = count.to_be_bytes().to_vec();
        for (bank, mask) in &self.banks {
            bytes.extend_from_slice(&bank.id().to_be_bytes());
            bytes.push(3);
            bytes.extend_from_slice(&mask.0);
        }
        bytes
    }

    /// Every selected register, in the order in which a TPM hashes them: banks as they stand, registers ascending.
    pub fn iter(&self) -> impl Iterator<Item = (HashAlg, u8)> + '_ {
        self.banks
            .iter()
            .flat_map(|(bank, mask)| mask.registers().map(move |register| (*bank, register)))
    }

    /// The banks in their order, each with its registers ascending.
    pub fn banks(&self) -> impl Iterator<Item = (HashAlg, Vec<u8>)> + '_ {
        self.banks
            .iter()
            .map(|(bank, mask)| (*bank, mask.registers().collect()))
    }

    /// Whether a register of a bank is selected.
    pub fn contains(&self, bank: HashAlg, register: u8) -> bool {
        self.banks
            .iter()
            .any(|(b, mask)| *b == bank && mask.contains(register))
    }

    fn push(&mut self, bank: HashAlg, mask: Mask) -> Result<(), SelectionError> {
        if self.banks.iter().any(|(b, _)| *b == bank) {
            return Err(SelectionError::DuplicateBank(bank));
        }
        self.banks.push((bank, mask));
        Ok(())
    }
}

impl Mask {
    fn contains(self, register: u8) -> bool {
        self.0
            .get(usize::from(register >> 3))
            .is_some_and(|byte| byte >> (register & 7) & 1 == 1)
    }

    fn insert(&mut self, register: u8) {
        if let Some(byte) = self.0.get_mut(usize::from(register >> 3)) {
            *byte |= 1 << (register & 7);
        }
    }

    fn is_empty(self) -> bool {
        self.0 == [0; SELECT_SIZE]
    }

    fn registers(self) -> impl Iterator<Item = u8> {
        (0..REGISTERS).filter(move |register| self.contains(*register))
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (bank, mask)) in self.banks.iter().enumerate() {
            if at > 0 {
                f.write_str("+")?;
            }
            let registers: Vec<String> = mask.registers().map(|register| register.to_string()).collect();
            write!(f, "{bank}:{}", registers.join(","))?;
        }
        Ok(())
    }
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut banks = Vec::new();
        for part in s.split('+') {
            let Some((name, list)) = part.split_once(':') else {
                return Err(SelectionError::Form(part.to_owned()));
            };
            let mut registers = Vec::new();
            for item in list.split(',') {
                match item.split_once('-') {
                    Some((first, last)) => registers.extend(register(first)?..=register(last)?),
                    None => registers.push(register(item)?),
                }
            }
            banks.push((name.trim().parse::<HashAlg>()?, registers));
        }
        Selection::new(
            banks
                .iter()
                .map(|(bank, registers)| (*bank, registers.as_slice())),
        )
    }
}

fn register(text: &str) -> Result<u8, SelectionError> {
    match text.trim().parse::<u8>() {
        Ok(register) if register < REGISTERS => Ok(register),
        _ => Err(SelectionError::Register(text.trim().to_owned())),
    }
}

impl TryFrom<String> for Selection {
    type Error = SelectionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> String {
        selection.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Selection, SelectionError> {
        Selection::read(&mut Reader::new(bytes))
    }

    #[test]
    fn text_and_wire_forms_go_there_and_back() {
        let selection: Selection = "sha256:0,1,2,16,23+sha1:10".parse().unwrap();
        assert_eq!(selection.to_string(), "sha256:0,1,2,16,23+sha1:10");
        assert_eq!(String::from(selection.clone()), "sha256:0,1,2,16,23+sha1:10");
        let bytes = selection.to_bytes();
        assert_eq!(bytes, [0, 0, 0, 2, 0, 0x0b, 3, 7, 0, 0x81, 0, 4, 3, 0, 4, 0]);
        assert_eq!(read(&bytes), Ok(selection.clone()));
        assert_eq!("sha256:0-2,23,16 + sha1:10".parse(), Ok(selection));
    }

    #[test]
    fn text_that_is_no_selection_is_refused_with_the_reason() {
        let parse = |s: &str| s.parse::<Selection>().unwrap_err();
        assert_eq!(parse(""), SelectionError::Form(String::new()));
        assert_eq!(parse("sha256"), SelectionError::Form("sha256".into()));
        assert_eq!(parse("sha256:24"), SelectionError::Register("24".into()));
        assert_eq!(parse("sha256:"), SelectionError::Register(String::new()));
        assert_eq!(parse("sha256:5-3"), SelectionError::Empty);
        assert_eq!(parse("sha256:1,1"), SelectionError::DuplicateRegister(1));
        assert_eq!(
            parse("md5:1"),
            SelectionError::UnknownName(UnknownHash("md5".into()))
        );
        assert_eq!(
            parse("sha1:1+sha1:2"),
            SelectionError::DuplicateBank(HashAlg::Sha1)
        );
    }

    #[test]
    fn case_20_duplicate_bank_entries_are_refused_and_order_is_part_of_equality() {
        let doubled = [0, 0, 0, 2, 0, 0x0b, 3, 1, 0, 0, 0, 0x0b, 3, 2, 0, 0];
        assert_eq!(
            read(&doubled),
            Err(SelectionError::DuplicateBank(HashAlg::Sha256))
        );
        let (a, b): (Selection, Selection) = (
            "sha256:0+sha1:0".parse().unwrap(),
            "sha1:0+sha256:0".parse().unwrap(),
        );
        assert_ne!(a, b);
    }

    #[test]
    fn case_17_odd_bitmaps_counts_and_banks_are_refused() {
        assert_eq!(
            read(&[0, 0, 0, 1, 0, 0x0b, 4, 1, 0, 0, 0]),
            Err(SelectionError::BitmapSize(4))
        );
        assert_eq!(
            read(&[0, 0, 0, 1, 0, 0x12, 3, 1, 0, 0]),
            Err(SelectionError::UnknownBank(0x12))
        );
        assert!(matches!(
            read(&[0xff; 8]),
            Err(SelectionError::Read(ReadError::TooLarge { .. }))
        ));
    }

    #[test]
    fn a_bank_that_the_tpm_emptied_differs_from_the_bank_that_was_asked() {
        let emptied = read(&[0, 0, 0, 1, 0, 4, 3, 0, 0, 0]).unwrap();
        assert_ne!(emptied, "sha1:10".parse().unwrap());
        assert_eq!(emptied.iter().count(), 0);
    }
}
