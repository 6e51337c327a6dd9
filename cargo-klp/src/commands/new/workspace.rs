//! The workspace of a new crate.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::host::tools::run_tool;

/// What makes a crate a workspace, so that it needs none around it.
const OWN: &str = "\n# A workspace of its own, wherever it stands.\n[workspace]\n";

/// How a crate stands to the directories above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No workspace is around it.
    Alone,
    /// It is a member of the workspace around it.
    Member,
    /// The workspace around it does not list it.
    Stranger,
}

/// Makes a new crate a workspace of its own, unless it is a member of the one around it.
pub(super) fn join(crate_dir: &Path) -> Result<Standing> {
    let manifest = crate_dir.join("Cargo.toml");
    let mut locate = Command::new("cargo");
    locate.args(["locate-project", "--workspace", "--message-format", "plain"]).current_dir(crate_dir);
    let standing = match run_tool(&mut locate) {
        Ok(output) if is_other(String::from_utf8_lossy(&output.stdout).trim().as_ref(), &manifest) => {
            return Ok(Standing::Member);
        }
        Ok(_) => Standing::Alone,
        // cargo refuses a crate that stands in a workspace without being a member of it.
        Err(_) => Standing::Stranger,
    };
    let text = fs::read_to_string(&manifest).map_err(Error::io("read", &manifest))?;
    fs::write(&manifest, text + OWN).map_err(Error::io("write", &manifest))?;
    Ok(standing)
}

/// Whether the root of the workspace is another Cargo.toml.
fn is_other(root: &Path, manifest: &Path) -> bool {
    fs::canonicalize(root).ok() != fs::canonicalize(manifest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate in the workspace of the members, as the command writes it first.
    fn standing(members: Option<&str>) -> (Standing, bool) {
        let directory = tempfile::tempdir().unwrap();
        if let Some(members) = members {
            let text = format!("[workspace]\nresolver = \"3\"\nmembers = [{members:?}]\n");
            fs::write(directory.path().join("Cargo.toml"), text).unwrap();
        }
        let crate_dir = directory.path().join("a_fix");
        fs::create_dir_all(crate_dir.join("src")).unwrap();
        fs::write(crate_dir.join("src/lib.rs"), "").unwrap();
        let manifest = crate_dir.join("Cargo.toml");
        fs::write(&manifest, "[package]\nname = \"a_fix\"\n").unwrap();
        let standing = join(&crate_dir).unwrap();
        (standing, fs::read_to_string(manifest).unwrap().contains("[workspace]"))
    }

    #[test]
    fn a_member_is_no_workspace_of_its_own() {
        assert_eq!(standing(Some("*_fix")), (Standing::Member, false));
        assert_eq!(standing(Some("*_other")), (Standing::Stranger, true));
        assert_eq!(standing(None), (Standing::Alone, true));
    }
}
