//! Writes the seeds of the fuzz targets, and the forged TPM maker's chain that `ek_certificate` judges by.
//!
//! `cargo run -p lazaret-properties --bin lazaret-seeds` in the repository; what it writes is committed. Signatures and
//! RSA keys are new each time, so it need not be run again but for new kinds of input.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use lazaret_forge::endorsement::Endorsement;
use lazaret_properties::seeds;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("lazaret-seeds: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let endorsement = Endorsement::p256().map_err(|error| error.to_string())?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = here.join("vectors");
    let write = |path: &Path, bytes: &[u8]| -> Result<(), String> {
        let told = |error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(here)).map_err(told)?;
        fs::write(path, bytes).map_err(told)
    };
    write(&vectors.join("ek_public"), &endorsement.ek_public)?;
    write(&vectors.join("ek.der"), &endorsement.certificate)?;
    write(&vectors.join("intermediate.der"), &endorsement.intermediate)?;
    write(&vectors.join("root.der"), &endorsement.root)?;
    match ssh_signature() {
        Ok(seed) => write(&here.join("../fuzz/seeds/policy/signature"), seed.as_bytes())?,
        Err(reason) => eprintln!("no seed with a signature of ssh-keygen: {reason}"),
    }
    for (target, seeds) in seeds::all(&endorsement).map_err(|error| format!("{error:?}"))? {
        for (name, bytes) in seeds {
            write(&here.join("../fuzz/seeds").join(target).join(name), &bytes)?;
        }
    }
    Ok(())
}

/// Allowed signers and a signature over [`seeds::SIGNED_TEXT`], as the target `policy` takes them.
fn ssh_signature() -> Result<String, io::Error> {
    let folder = std::env::temp_dir().join(format!("lazaret-seeds-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let keygen = |arguments: &[&str]| {
        let status = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(&folder)
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other("ssh-keygen failed"))
        }
    };
    fs::write(folder.join("text"), seeds::SIGNED_TEXT)?;
    keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "seeds", "-f", "key"])?;
    keygen(&["-Y", "sign", "-n", "lazaret-policy", "-f", "key", "text"])?;
    let (key, signature) = (
        fs::read_to_string(folder.join("key.pub"))?,
        fs::read_to_string(folder.join("text.sig"))?,
    );
    fs::remove_dir_all(&folder)?;
    Ok(format!(
        "4ops@example.org namespaces=\"lazaret-policy\" {key}\0{signature}"
    ))
}
