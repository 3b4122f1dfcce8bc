//! The attestation key: made once under an endorsement key, the same after every restart.

use lazaret_wire::EkKind;
use tracing::{info, warn};
use tss_esapi::{
    Context, Error, WrapperErrorKind,
    abstraction::{AsymmetricAlgorithmSelection, KeyCustomization, ak},
    attributes::ObjectAttributesBuilder,
    handles::KeyHandle,
    interface_types::{
        algorithm::{HashingAlgorithm, SignatureSchemeAlgorithm},
        ecc::EccCurve,
        key_bits::RsaKeyBits,
    },
    structures::{CreateKeyResult, Private, Public},
    traits::UnMarshall,
    utils::TpmsContext,
};

use super::{
    Settings, TpmError,
    blob::Blob,
    endorsement::{self, Endorsement, sized, unsized_part},
    error::refused,
};
use crate::config::KeyChoice;

/// A key that is ready to be loaded by its saved context.
pub(super) struct AttestationKey {
    parent: EkKind,
    public: Vec<u8>,
    name: Vec<u8>,
    saved: TpmsContext,
}

impl std::fmt::Debug for AttestationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AttestationKey({})", hex::encode(&self.name))
    }
}

impl AttestationKey {
    /// The saved key; the first one if there is none; a new one if the saved one is lost and the operator allowed it.
    pub(super) fn prepare(
        context: &mut Context,
        settings: &Settings,
        endorsements: &[Endorsement],
    ) -> Result<Self, TpmError> {
        match Self::load_saved(context, settings) {
            Ok(Some(key)) => return Ok(key),
            Ok(None) => {}
            Err(error) if error.voids_the_identity() && settings.new_identity => {
                warn!(%error, "a new attestation key is made, as --new-identity says");
            }
            Err(error) => return Err(error),
        }
        let Some(parent) = endorsements.first() else {
            return Err(TpmError::NoSuchEk(EkKind::Rsa2048));
        };
        Self::make(context, settings, parent.kind)
    }

    /// The saved key, if there is one. Makes nothing.
    pub(super) fn load_saved(context: &mut Context, settings: &Settings) -> Result<Option<Self>, TpmError> {
        let Some(blob) = Blob::load(&settings.state_directory)? else {
            return Ok(None);
        };
        let path = Blob::path(&settings.state_directory);
        let lost = |reason: String| TpmError::IdentityLost {
            path: path.clone(),
            reason,
        };
        let damaged = |reason: &str| TpmError::BlobDamaged {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let area = unsized_part(&blob.public).ok_or_else(|| damaged("its public part has a wrong size"))?;
        let public = Public::unmarshall(area).map_err(|_| damaged("its public part does not parse"))?;
        let private =
            Private::try_from(blob.private.clone()).map_err(|_| damaged("its private part is too large"))?;
        endorsement::with_key(context, blob.parent, |context, parent, parent_public| {
            if parent_public != blob.parent_public {
                return Err(lost(format!(
                    "its {} endorsement key is another one",
                    blob.parent
                )));
            }
            let loaded = ak::load_ak(context, parent, None, private, public).map_err(|error| {
                if is_a_format_one_code(&error) {
                    lost(error.to_string())
                } else {
                    refused("load the attestation key")(error)
                }
            })?;
            Self::save(context, loaded, blob.parent, blob.public.clone())
        })
        .map(Some)
    }

    /// Runs `f` with the key loaded, and flushes it after.
    pub(super) fn with_loaded<T>(
        &self,
        context: &mut Context,
        f: impl FnOnce(&mut Context, KeyHandle) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let handle = context
            .context_load(self.saved.clone())
            .map_err(refused("load the attestation key's context"))?;
        let result = f(context, KeyHandle::from(handle));
        let flushed = context
            .flush_context(handle)
            .map_err(refused("flush the attestation key"));
        let result = result?;
        flushed.map(|()| result)
    }

    pub(super) fn parent(&self) -> EkKind {
        self.parent
    }

    /// TPM2B_PUBLIC.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    fn make(context: &mut Context, settings: &Settings, parent: EkKind) -> Result<Self, TpmError> {
        endorsement::with_key(context, parent, |context, handle, parent_public| {
            let created = create(context, handle, settings.key)?;
            let public = sized(&created.out_public)?;
            let private = created.out_private.to_vec();
            let loaded = ak::load_ak(context, handle, None, created.out_private, created.out_public)
                .map_err(refused("load the attestation key that it made"))?;
            let key = Self::save(context, loaded, parent, public.clone())?;
            // Written last: a key that is on disk has been loaded once.
            Blob::new(parent, parent_public, public, private).save(&settings.state_directory)?;
            info!(name = hex::encode(&key.name), %parent, "attestation key made");
            Ok(key)
        })
    }

    /// Takes the loaded key out of the TPM again, to be loaded when needed.
    fn save(
        context: &mut Context,
        loaded: KeyHandle,
        parent: EkKind,
        public: Vec<u8>,
    ) -> Result<Self, TpmError> {
        let refused = refused("save the attestation key's context");
        let saved = context
            .tr_get_name(loaded.into())
            .and_then(|name| Ok((name, context.context_save(loaded.into())?)))
            .map_err(&refused);
        let flushed = context.flush_context(loaded.into()).map_err(&refused);
        let (name, saved) = saved?;
        flushed.map(|()| Self {
            parent,
            public,
            name: name.value().to_vec(),
            saved,
        })
    }
}

/// The key's authorisation is empty, so there is nothing to guess; without this a TPM in lockout would stop attesting.
#[derive(Clone, Copy)]
struct NoLockout;

impl KeyCustomization for NoLockout {
    fn attributes(&self, attributes: ObjectAttributesBuilder) -> ObjectAttributesBuilder {
        attributes.with_no_da(true)
    }
}

fn create(context: &mut Context, parent: KeyHandle, choice: KeyChoice) -> Result<CreateKeyResult, TpmError> {
    let mut with = |selection, scheme| {
        ak::create_ak_2(
            context,
            parent,
            HashingAlgorithm::Sha256,
            selection,
            scheme,
            None,
            NoLockout,
        )
        .map_err(refused("make an attestation key"))
    };
    let mut ecdsa = || {
        with(
            AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
            SignatureSchemeAlgorithm::EcDsa,
        )
    };
    match choice {
        KeyChoice::EcdsaP256 => ecdsa(),
        KeyChoice::Auto => match ecdsa() {
            Err(TpmError::Refused { source, .. }) if is_a_format_one_code(&source) => {
                info!("the TPM makes no ECDSA P-256 key ({source}); RSASSA-2048 is used");
                rsassa(&mut with)
            }
            other => other,
        },
        KeyChoice::Rsassa2048 => rsassa(&mut with),
    }
}

fn rsassa(
    with: &mut impl FnMut(
        AsymmetricAlgorithmSelection,
        SignatureSchemeAlgorithm,
    ) -> Result<CreateKeyResult, TpmError>,
) -> Result<CreateKeyResult, TpmError> {
    with(
        AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
        SignatureSchemeAlgorithm::RsaSsa,
    )
}

/// The TPM's own judgement of a parameter, handle or session: neither a broken connection nor a passing state.
pub(super) fn is_a_format_one_code(error: &Error) -> bool {
    match error {
        Error::Tss2Error(tss_esapi::constants::response_code::Tss2ResponseCode::FormatOne(_)) => true,
        Error::Tss2Error(_) | Error::WrapperError(_) => false,
    }
}

/// A value that should not be possible.
pub(super) fn wrong_value() -> Error {
    Error::WrapperError(WrapperErrorKind::WrongValueFromTpm)
}
