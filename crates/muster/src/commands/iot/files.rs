//! Files and texts that flags name, read within bounds.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Problem;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let problem = |what: String| Problem::new(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|e| problem(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| problem(e.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(problem(format!("the file is larger than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// Reads a file that holds a secret on one line.
pub(super) fn secret(path: &Path) -> Result<Zeroizing<String>, Problem> {
    let bytes = Zeroizing::new(read(path)?);
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Problem::new(format!("{}: is not text", path.display())))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Reads a file for management, which takes base64 of its bytes.
pub(super) fn base64(path: &Path) -> Result<String, Problem> {
    Ok(BASE64.encode(&read(path)?))
}

/// Reads a certificate for an enrollment: PEM as it is, DER in base64.
pub(super) fn certificate(path: &Path) -> Result<String, Problem> {
    let bytes = read(path)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(binary) => BASE64.encode(binary.as_bytes()),
    })
}

/// Reads a JSON object that was typed, or that stands in the file that was named.
pub(super) fn json(flag: &str, text: &str) -> Result<Value, Problem> {
    let typed = text.trim_start();
    let value = if typed.starts_with(['{', '[']) {
        serde_json::from_str(typed).map_err(|e| Problem::usage(format!("{flag} is not JSON: {e}")))?
    } else {
        let path = Path::new(text.strip_prefix('@').unwrap_or(text));
        serde_json::from_slice(&read(path)?)
            .map_err(|e| Problem::new(format!("{}: is not JSON: {e}", path.display())))?
    };
    Ok(value)
}
