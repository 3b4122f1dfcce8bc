//! Templates: which fields an entry has, and in which order.
//!
//! The tables are the kernel's (security/integrity/ima/ima_template.c, `builtin_templates` and `supported_fields`). A
//! kernel started with `ima_template_fmt=` prints the format itself as the template's name, such as `d-ng|n-ng|sig`; it is
//! understood by the same table of fields.

/// Most fields in a template: IMA_TEMPLATE_NUM_FIELDS_MAX.
const MAX_FIELDS: usize = 15;

/// One field of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `d`: a digest of SHA-1 or MD5.
    Digest,
    /// `n`: a name of at most 255 bytes.
    Name,
    /// `d-ng`: a digest with its algorithm.
    DigestNg,
    /// `d-ngv2`: a digest with its kind (`ima` or `verity`) and its algorithm.
    DigestNgV2,
    /// `n-ng`: a path.
    NameNg,
    /// `sig`: the file's signature.
    Signature,
    /// `buf`: the data that was measured.
    Buffer,
    /// `d-modsig`: the digest of the file without its appended signature.
    DigestModsig,
    /// `modsig`: the appended signature, PKCS#7.
    Modsig,
    /// `evmsig`: EVM's portable signature over the file's metadata.
    EvmSignature,
    /// `xattrnames`.
    XattrNames,
    /// `xattrlengths`.
    XattrLengths,
    /// `xattrvalues`.
    XattrValues,
    /// `iuid`: the file's owner.
    Uid,
    /// `igid`: the file's group.
    Gid,
    /// `imode`: the file's mode.
    Mode,
}

impl Field {
    fn of(id: &[u8]) -> Option<Self> {
        Some(match id {
            b"d" => Self::Digest,
            b"n" => Self::Name,
            b"d-ng" => Self::DigestNg,
            b"d-ngv2" => Self::DigestNgV2,
            b"n-ng" => Self::NameNg,
            b"sig" => Self::Signature,
            b"buf" => Self::Buffer,
            b"d-modsig" => Self::DigestModsig,
            b"modsig" => Self::Modsig,
            b"evmsig" => Self::EvmSignature,
            b"xattrnames" => Self::XattrNames,
            b"xattrlengths" => Self::XattrLengths,
            b"xattrvalues" => Self::XattrValues,
            b"iuid" => Self::Uid,
            b"igid" => Self::Gid,
            b"imode" => Self::Mode,
            _ => return None,
        })
    }

    pub(super) fn is_name(self) -> bool {
        matches!(self, Self::Name | Self::NameNg)
    }
}

/// How an entry is laid out, by the name that stands in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template<'a> {
    name: &'a [u8],
    layout: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `ima`: no lengths before the digest and the hashed name.
    Old,
    Known(&'static [Field]),
    Custom([Option<Field>; MAX_FIELDS]),
    Unknown,
}

impl<'a> Template<'a> {
    pub(super) fn of(name: &'a [u8]) -> Self {
        use Field::{
            Buffer, DigestModsig, DigestNg, DigestNgV2, EvmSignature, Gid, Mode, Modsig, NameNg, Signature,
            Uid, XattrLengths, XattrNames, XattrValues,
        };
        let layout = match name {
            b"ima-sig" => Layout::Known(&[DigestNg, NameNg, Signature]),
            b"ima-ng" => Layout::Known(&[DigestNg, NameNg]),
            b"ima" => Layout::Old,
            b"ima-buf" => Layout::Known(&[DigestNg, NameNg, Buffer]),
            b"ima-ngv2" => Layout::Known(&[DigestNgV2, NameNg]),
            b"ima-sigv2" => Layout::Known(&[DigestNgV2, NameNg, Signature]),
            b"ima-modsig" => Layout::Known(&[DigestNg, NameNg, Signature, DigestModsig, Modsig]),
            b"evm-sig" => Layout::Known(&[
                DigestNg,
                NameNg,
                EvmSignature,
                XattrNames,
                XattrLengths,
                XattrValues,
                Uid,
                Gid,
                Mode,
            ]),
            format => custom(format).map_or(Layout::Unknown, Layout::Custom),
        };
        Self { name, layout }
    }

    /// Its name, as the list writes it.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Whether its fields are understood. An entry that is not still extends its PCR.
    pub fn is_known(&self) -> bool {
        self.layout != Layout::Unknown
    }

    /// Whether its name may be believed: one digest, then one name, and no field twice, as all of the kernel's own.
    ///
    /// No digest covers a template's name. Whoever hands out the list can write another, and a custom format in another
    /// order would then read a path or a digest out of bytes that root chose: an attribute, a signature.
    pub(super) fn is_orderly(&self) -> bool {
        use Field::{Digest, DigestNg, DigestNgV2};
        let Layout::Custom(fields) = &self.layout else {
            return true;
        };
        fields.iter().enumerate().all(|(at, slot)| {
            let Some(field) = slot else { return at >= 2 };
            let digest = matches!(field, Digest | DigestNg | DigestNgV2);
            let before = fields.iter().take(at);
            digest == (at == 0)
                && field.is_name() == (at == 1)
                && before.flatten().all(|other| other != field)
        })
    }

    /// Whether it is that of data which the kernel measured (`ima-buf`): nothing but the data behind digest and name.
    pub(super) fn is_of_data(&self) -> bool {
        let mut behind = self.fields().skip(2);
        behind.next() == Some(Field::Buffer) && behind.next().is_none()
    }

    /// `ima`, which has forms of its own for data and hash.
    pub(super) fn is_old(&self) -> bool {
        self.layout == Layout::Old
    }

    /// Its fields, in order; none for an unknown template.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> + Clone + '_ {
        let (table, custom): (&[Field], &[Option<Field>]) = match &self.layout {
            Layout::Old => (&[Field::Digest, Field::Name], &[]),
            Layout::Known(fields) => (fields, &[]),
            Layout::Custom(fields) => (&[], fields),
            Layout::Unknown => (&[], &[]),
        };
        table.iter().copied().chain(custom.iter().copied().flatten())
    }
}

/// A format with known fields only; the kernel refuses others at boot.
fn custom(format: &[u8]) -> Option<[Option<Field>; MAX_FIELDS]> {
    let mut fields = [None; MAX_FIELDS];
    let mut slots = fields.iter_mut();
    for id in format.split(|byte| *byte == b'|') {
        *slots.next()? = Some(Field::of(id)?);
    }
    Some(fields)
}
